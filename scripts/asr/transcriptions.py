"""Which recordings are to be transcribed, and into which files: found, checked and named before a model is opened.

jobs, problems = planned([Path("recordings")], None, ["srt"], existing="skip")
jobs[0].outputs                                     # {"srt": Path("recordings/talk.srt")}
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.errors import UserError

# By their suffixes, of the files in a folder; a file that is given by its name may have any.
AUDIO = (
    *(".aac", ".ac3", ".aif", ".aiff", ".amr", ".au", ".caf", ".flac", ".m4a", ".m4b", ".mka"),
    *(".mp2", ".mp3", ".oga", ".ogg", ".opus", ".wav", ".weba", ".wma"),
)
VIDEO = (
    *(".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".ts"),
    *(".webm", ".wmv"),
)
RECORDINGS = frozenset(AUDIO + VIDEO)
STDOUT = Path("-")


@dataclass(frozen=True)
class Job:
    """A recording, and the files that its transcript is written to, by form."""

    recording: Path
    outputs: dict[str, Path]


def planned(
    recordings: Sequence[Path], output_dir: Path | None, formats: Sequence[str], existing: str
) -> tuple[list[Job], list[str]]:
    """What is to be done, and what cannot be.

    Args:
        recordings: files, and folders with all below them.
        output_dir: where transcripts go; None: beside each recording; `STDOUT`: nowhere else.
        formats: names of forms, which are the suffixes too.
        existing: what becomes of a recording that has a transcript: "refuse", "skip" or "overwrite".

    Raises:
        UserError: nothing can be done: the folder cannot be written to, or standard output would mix several transcripts.
    """
    to_stdout = output_dir == STDOUT
    if not to_stdout and output_dir:
        _require_writable(output_dir)
    jobs, problems, taken = [], [], {}
    for given in recordings:
        found, folder = _recordings_of(given)
        if isinstance(found, str):
            problems.append(found)
            continue
        for recording in found:
            place = recording.parent
            if output_dir:
                place = output_dir / (recording.parent.relative_to(folder))
            outputs = {} if to_stdout else {form: place / f"{recording.stem}.{form}" for form in formats}
            there = [path for path in outputs.values() if path.exists()]
            if other := next((taken[path] for path in outputs.values() if path in taken), None):
                problems.append(f"{recording}: its transcript would be that of {other}; rename one of them")
            elif recording in outputs.values():
                problems.append(f"{recording}: its transcript would be written over it; give another --format")
            elif there and existing == "skip":
                print(f"{recording}: skipped, {there[0]} exists", file=sys.stderr, flush=True)
            elif there and existing == "refuse":
                remedy = "--existing overwrite makes it again, --existing skip leaves it out"
                problems.append(f"{recording}: {there[0]} exists; {remedy}")
            else:
                jobs.append(Job(recording, outputs))
            taken |= dict.fromkeys(outputs.values(), recording)
    if to_stdout and (len(jobs) > 1 or len(formats) > 1):
        raise UserError("--output_dir -: only one recording in one --format can be written to standard output")
    return jobs, problems


def _recordings_of(given: Path) -> tuple[list[Path] | str, Path]:
    """The recordings, or what is wrong; and the folder that their places are relative to."""
    if given.is_dir():
        files = sorted(path for path in given.rglob("*") if path.is_file())
        found = [path for path in files if path.suffix.lower() in RECORDINGS]
        return found or f"{given}: no recording in it, by the names of its {len(files)} files", given
    if not given.exists():
        return f"{given}: no such file or folder", given.parent
    return [given], given.parent


def _require_writable(folder: Path) -> None:
    """Make an output folder before a model is opened for nothing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--output_dir {folder}: {error.strerror}; give another folder") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"--output_dir {folder}: no permission to write there; give another folder")
