"""Long recordings, audio or video, each beside its subtitles: one utterance a recording, its cues as segments.

    <path>/train/talks/a.mp4           a recording: wav mp3 flac ogg opus m4a mp4 mkv webm mov avi aac
    <path>/train/talks/a.srt           its subtitles: .srt or .vtt; a.de.srt before it, never a.en.srt if it is German

SubRip and WebVTT are read by pysubs2, one cue at a time: left to itself it takes the notes and identifiers between WebVTT's
cues for text, and drops a cue's last line if that is a number. `read_corpus` cuts the utterances where cues end, and
leaves out what is before the first and after the last. Each recording counts as a speaker, since its voices are not told apart.
"""

import html
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pysubs2

from asr.corpora import Corpus, splits_in_order
from asr.corpora.files import exists, files_below, inside, text_of
from asr.cuts import join
from asr.errors import UserError
from asr.recording import Recording
from asr.utterance import Rejected, Segment, Utterance
from asr.whisper_shape import LANGUAGES

RECORDINGS = frozenset(
    {".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".mp4", ".mkv", ".webm", ".mov", ".avi", ".aac"}
)
SUBTITLES = frozenset({".srt", ".vtt"})
LANGUAGE = re.compile(r"\.[A-Za-z]{2,3}([-_][A-Za-z0-9]+)*$")  # of a.de.srt, a.pt-BR.vtt
TIMES_IN_TEXT = re.compile(r"<\d[\d:.]*>")  # WebVTT's, of each word


class _Unparsable(ValueError):
    """What is wrong with a file of subtitles."""


def read(*, source: str, speakers: str, language: str, domain: str, path: Path, splits: dict[str, str]) -> Corpus:
    """Open folders of recordings with subtitles; see `asr.corpora` for what every reader gives.

    Args:
        splits: our split (or "speaker"): a folder, seen from `path`, with all that is below it.

    Raises:
        UserError: no such folder; two files of subtitles for a recording, or two recordings for one.
    """
    path = Path(os.path.normpath(Path(path).absolute()))
    pairs: list[tuple[str, Path | None, Path | None]] = []
    for split, name in splits_in_order(splits):
        folder = path if name == "." else inside(path, name)
        if folder is None:
            raise UserError(f"{name}: outside of {path}; let splits name a folder in it")
        pairs += [(split, *pair) for pair in _pairs(exists(folder, "correct the source's path or splits"), language)]

    def utterances() -> Iterator[Utterance | Rejected]:
        for split, recording, subtitles in pairs:
            own = (recording or subtitles).relative_to(path).as_posix()
            id, speaker = f"{source}/{own}", f"{speakers}/{own}"
            audio = Recording(recording) if recording else b""
            segments = problem = None
            if recording is None:
                problem = ("missing_clip", f"{subtitles}: no recording of this name beside it")
            elif subtitles is None:
                problem = ("no_text", f"{recording}: no .srt or .vtt in {language} of this name beside it")
            else:
                try:
                    segments = _segments(subtitles, language)
                except (UserError, OSError, _Unparsable) as error:
                    problem = ("malformed_row", f"{subtitles}: {error}")
                if not segments and not problem:
                    problem = ("no_text", f"{subtitles}: no cue with text")
            if problem:
                yield Rejected(id, source, split, speaker, *problem, audio)
            else:
                text = join([segment.text for segment in segments], language)
                yield Utterance(id, audio, text, language, speaker, source, domain, split, segments=segments)

    promised = tuple(split for split, _ in splits_in_order(splits))
    return Corpus(len(pairs), promised, utterances(), cut_always=True)


def _pairs(folder: Path, language: str) -> list[tuple[Path | None, Path | None]]:
    """Each recording and its subtitles, in the order of their names; what is hidden (macOS's ._a.mp4) is not looked at."""
    files = [folder / name for name in files_below(folder, lambda name: not name.startswith("."))]
    recordings: dict[Path, list[Path]] = defaultdict(list)
    for file in files:
        if file.suffix.lower() in RECORDINGS:
            recordings[file.with_suffix("")].append(file)
    subtitles: dict[Path, list[Path]] = defaultdict(list)
    for file in files:
        if file.suffix.lower() in SUBTITLES:
            name = file.with_suffix("")
            plain = name.with_name(LANGUAGE.sub("", name.name))
            subtitles[plain if name not in recordings and plain in recordings else name].append(file)
    for name in subtitles:
        if name in recordings:
            subtitles[name] = _in_language(subtitles[name], name, language)
    for name, found in subtitles.items():
        for kind, several in (("subtitles", found), ("recordings", recordings.get(name, []))):
            if len(several) > 1:
                names = ", ".join(file.name for file in several)
                raise UserError(f"{name.parent}: {kind} {names} belong together; keep one of them here")
    pairs = [(file, next(iter(subtitles.get(name, [])), None)) for name, found in recordings.items() for file in found]
    pairs += [(None, file) for name, found in subtitles.items() if name not in recordings for file in found]
    return sorted(pairs, key=lambda pair: pair[0] or pair[1])


def _in_language(files: list[Path], name: Path, language: str) -> list[Path]:
    """Of a recording's subtitles those in `language`, else those whose names do not say a language of Whisper's."""
    codes = {file: re.split("[-_]", file.stem[len(name.name) + 1 :].lower())[0] for file in files}
    own = [file for file, code in codes.items() if code == language]
    return own or [file for file, code in codes.items() if code not in LANGUAGES]


def _segments(file: Path, language: str) -> tuple[Segment, ...]:
    """The cues that have text, by their start."""
    lines = text_of(file.read_bytes(), file.name).splitlines()
    vtt = next((line for line in lines if line.strip()), "").startswith("WEBVTT")
    times = [number for number, line in enumerate(lines) if "-->" in line]
    if not times and not vtt and any(line.strip() for line in lines):
        raise _Unparsable("no line 00:00:00,000 --> 00:00:01,000; is it SubRip or WebVTT?")
    segments = []
    for time, following in pairwise([*times, len(lines)]):
        text = _text_lines(lines[time + 1 : following], vtt, last=following == len(lines))
        # The number of a next cue, or pysubs2 takes a last line "1984" for it.
        cue = "\n".join([lines[time], *text, "", "1", ""])
        try:
            events = pysubs2.SSAFile.from_string(cue, format_="vtt" if vtt else "srt").events
        except (pysubs2.Pysubs2Error, ValueError) as error:
            raise _Unparsable(f"line {time + 1}: {error}") from None
        if len(events) != 1:
            raise _Unparsable(f"line {time + 1}: no times: {lines[time][:80]!r}")
        plain = html.unescape(events[0].plaintext)
        if spoken := join([" ".join(line.split()) for line in plain.splitlines()], language):
            segments.append(Segment(events[0].start / 1000, events[0].end / 1000, spoken))
    return tuple(sorted(segments, key=lambda segment: (segment.start, segment.end)))


def _text_lines(lines: list[str], vtt: bool, last: bool) -> list[str]:
    """Of the lines between a cue's times and the next one's, those of its text."""
    if not last and lines and lines[-1].strip() and (vtt or lines[-1].strip().isdecimal()):
        lines = lines[:-1]  # the next cue's identifier
    if vtt:  # an empty line ends a cue: what follows are notes and styles
        lines = lines[: next((number for number, line in enumerate(lines) if not line.strip()), len(lines))]
    return [TIMES_IN_TEXT.sub("", line) for line in lines]
