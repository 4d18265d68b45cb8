"""Transcripts as files: text, SubRip, WebVTT, JSON; written as they come, and there only when they are whole.

    with transcript_files({"srt": Path("talk.srt")}) as files:
        files.add(segment)
        files.end(recording="talk.mp4", language="de", seconds=12.0)

txt: a segment a line. srt, vtt: a segment a cue. json: {"segments": [{"start", "end", "text", "words": [{"start", "end",
"word", "probability"}]}], "recording", "language", …}; times in seconds from the recording's start, words null where the
engine gives none.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TextIO

from asr.segments import Segment

FORMATS = ("txt", "srt", "vtt", "json")


class Transcript:
    """One form of a transcript, written to a stream of text."""

    def __init__(self, form: str, stream: TextIO):
        self._form, self._stream, self._count = form, stream, 0
        self._write({"vtt": "WEBVTT\n\n", "json": '{"segments": ['}.get(form, ""))

    def add(self, segment: Segment) -> None:
        self._count += 1
        if self._form == "txt":
            self._write(f"{segment.text}\n")
        elif self._form == "json":
            line = json.dumps(_record(segment), ensure_ascii=False, allow_nan=False)
            self._write(f"{',' if self._count > 1 else ''}\n{line}")
        elif self._form == "srt":
            # SubRip has no way to write the arrow of its own lines of times.
            text = segment.text.replace("-->", "->")
            self._write(f"{self._count}\n{_time(segment.start, ',')} --> {_time(segment.end, ',')}\n{text}\n\n")
        else:
            text = segment.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            self._write(f"{_time(segment.start, '.')} --> {_time(segment.end, '.')}\n{text}\n\n")
        self._stream.flush()  # who follows the file sees what has been heard

    def end(self, **about: object) -> None:
        """`about`: what JSON says of the whole recording."""
        if self._form == "json":
            rest = json.dumps(about, ensure_ascii=False, allow_nan=False)[1:-1]
            self._write(f"\n], {rest}}}\n" if rest else "\n]}\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)


class Transcripts:
    """The same in several forms."""

    def __init__(self, transcripts: list[Transcript]):
        self._transcripts = transcripts

    def add(self, segment: Segment) -> None:
        for transcript in self._transcripts:
            transcript.add(segment)

    def end(self, **about: object) -> None:
        for transcript in self._transcripts:
            transcript.end(**about)


@contextmanager
def transcript_files(paths: Mapping[str, Path]) -> Iterator[Transcripts]:
    """Forms and files: each is written beside itself as `<name>.partial`, and renamed when the block ends without an error."""
    partials = {path: path.with_name(path.name + ".partial") for path in paths.values()}
    try:
        with ExitStack() as stack:
            streams = {}
            for form, path in paths.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                streams[form] = stack.enter_context(partials[path].open("w", encoding="utf-8"))
            yield Transcripts([Transcript(form, stream) for form, stream in streams.items()])
    except BaseException:
        for partial in partials.values():
            with suppress(OSError):
                partial.unlink()
        raise
    for path, partial in partials.items():
        partial.rename(path)


def _record(segment: Segment) -> dict:
    words = None
    if segment.words is not None:
        words = [
            {
                "start": round(word.start, 3),
                "end": round(word.end, 3),
                "word": word.text,
                "probability": None if word.probability is None else round(word.probability, 4),
            }
            for word in segment.words
        ]
    return {"start": round(segment.start, 3), "end": round(segment.end, 3), "text": segment.text, "words": words}


def _time(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds // 1000:02d}{point}{milliseconds % 1000:03d}"
