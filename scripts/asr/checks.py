"""What a recording and its transcript must satisfy to be trained on or judged by.

    checks = Checks(tokenizer_file=…, min_seconds=0.3, max_seconds={"general": 30.0}, min_peak=0.001, max_tokens=440)
    checks.prepare(utterance)      # as it comes from a reader -> mono 16 kHz FLAC and clean text, or a Rejected

`prepare` is a pure function of its item, so that any number of processes on any number of machines gives the same result;
what only shows beside other items, a repetition, is `duplicates.Seen`'s.
"""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from asr.audio import SLACK_SECONDS, CorruptAudio, TooLong, decode, encode_flac
from asr.cuts import OVERLAP_SECONDS, join, reject
from asr.labels import plain_tokenizer, spoken
from asr.recording import Recording
from asr.text import TextRules, clean, foreign_characters, spoken_characters
from asr.utterance import Rejected, Segment, Utterance
from asr.whisper_shape import SAMPLE_RATE, WINDOW_SECONDS

ORIGINAL_BYTES = 200_000  # of a recording that cannot be decoded: what the card of the data may hold
Problem = tuple[str, str] | None  # reason and detail


@dataclass(frozen=True)
class Checks:
    """The limits; seconds, a share of full scale, text tokens."""

    tokenizer_file: Path
    min_seconds: float
    max_seconds: dict[str, float]  # by source
    min_peak: float
    max_tokens: int
    no_speech: frozenset[str] = frozenset()  # sources whose rows without a text are recordings in which nobody speaks
    unlabelled: frozenset[str] = frozenset()  # sources whose rows without a text nobody has transcribed yet
    text: dict[str, TextRules] = field(default_factory=dict)  # by language

    def prepare(self, item: Utterance | Rejected) -> Utterance | Rejected:
        """The utterance with FLAC bytes, its length and a clean text, or the first check that it fails.

        A rejected one has FLAC too where it could be decoded, else its own bytes unless they are many. What a reader has
        rejected stays as it is.
        """
        if isinstance(item, Rejected):
            return replace(item, audio=_original(item.audio))
        utterance = self._cleaned(item)
        problem = self._problem_of_text(item, utterance)
        waveform, unusable = self._waveform(item)
        audio = _original(item.audio) if waveform is None else encode_flac(waveform)
        problem = problem or unusable or self._problem_of_sound(utterance, waveform)
        if problem:
            return reject(replace(utterance, audio=audio), *problem)
        seconds = len(waveform) / SAMPLE_RATE
        segments = tuple(replace(s, end=min(s.end, seconds)) for s in utterance.segments)
        return replace(utterance, audio=audio, seconds=seconds, segments=segments)

    def tokens(self, text: str, language: str) -> int:
        """How many tokens the decoder is taught for a clean text: those of `asr.labels.Labeler`."""
        return len(_tokenizer(self.tokenizer_file).encode(spoken(text, language), add_special_tokens=False))

    def _rules(self, utterance: Utterance) -> TextRules:
        return self.text.get(utterance.text_language, TextRules())

    def _cleaned(self, utterance: Utterance) -> Utterance:
        rules, language = self._rules(utterance), utterance.text_language
        segments, last = [], 0.0
        for s in utterance.segments:
            if text := clean(s.text, rules, language):
                overlaps = s.start < last <= min(s.start + OVERLAP_SECONDS, s.end)
                segments.append(Segment(last if overlaps else s.start, s.end, text))
                last = s.end
        text = clean(utterance.text, rules, language) or join([segment.text for segment in segments], language)
        labelled_by = "" if not text and utterance.source in self.unlabelled else utterance.labelled_by
        return replace(utterance, text=text, segments=tuple(segments), labelled_by=labelled_by)

    def _problem_of_text(self, given: Utterance, utterance: Utterance) -> Problem:
        text, language = utterance.text, utterance.text_language
        if not text:
            if given.text.strip():
                return "empty_text", f"cleaning leaves nothing of {given.text.strip()[:80]!r}"
            known = given.source in self.no_speech or not utterance.labelled_by
            return None if known else ("empty_text", "no sentence")
        if foreign := foreign_characters(text, language, self._rules(utterance)):
            return "foreign_characters", f"{foreign[:20]!r} is not written in {language}: {text[:80]}"
        parts = [segment.text for segment in utterance.segments] or [text]
        tokens = sum(self.tokens(part, language) for part in parts) + 2 * (len(parts) - 1)  # timestamps
        if tokens > self.max_tokens:
            return "too_many_tokens", f"{tokens} text tokens, at most {self.max_tokens}: {text[:80]}…"
        if utterance.segments and _bare(text) != _bare(join(parts, language)):
            return "bad_segments", f"its text is not what its segments say: {text[:80]}"
        last = 0.0
        for segment in utterance.segments:
            if not last <= segment.start <= segment.end:
                times = f"{segment.start:.2f} to {segment.end:.2f} s after {last:.2f} s"
                return "bad_segments", f"times run backwards: {times}: {segment.text[:80]}"
            last = segment.end
        return None

    def _waveform(self, utterance: Utterance) -> tuple[np.ndarray | None, Problem]:
        limit = self.max_seconds[utterance.source]
        if utterance.split != "test":  # a longer recording cannot be one training window
            limit = min(limit, WINDOW_SECONDS)
        audio = utterance.audio
        try:
            if utterance.segments and utterance.segments[-1].end <= limit:
                # Too long it may be by an end that nobody has transcribed.
                with suppress(TooLong):
                    return decode(audio, limit), None
                audio = audio.cut(0.0, utterance.segments[-1].end)
            return decode(audio, limit), None
        except TooLong as error:
            return None, ("too_long", f"{error.seconds:.2f} s, at most {limit} s in {utterance.split}")
        except CorruptAudio as error:
            return None, ("unreadable_audio", _without_folder(str(error), audio))

    def _problem_of_sound(self, utterance: Utterance, waveform: np.ndarray) -> Problem:
        seconds, text = len(waveform) / SAMPLE_RATE, utterance.text
        if seconds < self.min_seconds:
            return "too_short", f"{seconds:.2f} s, at least {self.min_seconds} s"
        claimed = 0.0 if utterance.segments else utterance.seconds
        if claimed and abs(claimed - seconds) > max(SLACK_SECONDS, 0.05 * claimed):
            reason = "truncated" if seconds < claimed else "longer_than_stated"
            return reason, f"{seconds:.2f} s, but {claimed:.2f} s by what the corpus says"
        if utterance.segments and utterance.segments[-1].end > seconds + SLACK_SECONDS:
            return "bad_segments", f"a segment ends at {utterance.segments[-1].end:.2f} s of {seconds:.2f} s"
        if utterance.segments and utterance.segments[-1].start >= seconds:
            return "bad_segments", f"a segment begins at {utterance.segments[-1].start:.2f} s of {seconds:.2f} s"
        peak = float(np.abs(waveform).max())
        if not utterance.is_silent and peak < self.min_peak:
            return "silent", f"loudest sample {peak:.6f}, at least {self.min_peak}"
        low, high = self._rules(utterance).characters_a_second
        pace = spoken_characters(text) / seconds
        if text and not low <= pace <= high:
            return "characters_a_second", f"{pace:.1f}, not from {low:g} to {high:g}: {text[:80]}"
        return None


def _bare(text: str) -> str:
    """A text's letters and digits: the same with other punctuation, spaces and capitals."""
    return "".join(filter(str.isalnum, text.casefold()))


def _without_folder(message: str, audio: Recording | bytes) -> str:
    """A message about a recording, with its file's name alone: where this machine has it is no part of the result."""
    if isinstance(audio, Recording) and isinstance(audio.source, Path):
        return message.replace(f"{audio.source.parent}/", "")
    return message


def _original(audio: Recording | bytes) -> bytes:
    """The bytes of what cannot be decoded, for a person to look into; b"" if they are many, or not to be had."""
    if not isinstance(audio, Recording):
        return audio
    try:
        content = audio.open()
        if isinstance(content, Path):
            return content.read_bytes() if content.stat().st_size <= ORIGINAL_BYTES else b""
        return content.getvalue() if len(content.getbuffer()) <= ORIGINAL_BYTES else b""
    except (OSError, ValueError):
        return b""


@lru_cache(maxsize=1)  # of the process: a `Checks` is pickled with each task
def _tokenizer(file: Path) -> Tokenizer:
    return plain_tokenizer(file.read_text(encoding="utf-8"))
