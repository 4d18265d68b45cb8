"""What is said in recordings: audio or video, of any length, by any of the models here, as text, subtitles or JSON.

In: files, or folders with all below them; a model in the form of transformers, CTranslate2, whisper.cpp or ONNX. Out: for each
recording a transcript of its name, beside it or in --output_dir. A command, not a stage: it reads no params.yaml.

    python scripts/transcribe.py talk.mp4 --model outputs/convert_to_faster/int8 --language de --format srt,json
    python scripts/transcribe.py recordings/ --output_dir transcripts --existing skip
    make transcribe FILE=talk.mp4
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from asr.command import full_disk, run
from asr.environment import workers
from asr.errors import UserError
from asr.guide_flags import HUB_ID, guide_flags
from asr.transcripts import FORMATS
from asr.whisper_shape import LANGUAGES, WINDOW_SECONDS

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
# The guide's infer_tfs.py and infer_ct2.py are called with these; --audio_path and --model_path are flags here too.
GUIDE = {
    "use_gpu": ("--device=auto", "--device=cpu"),
    "use_int8": ("--compute_type=int8", "--compute_type=default"),
    "vad_filter": ("--speech_threshold=0.5", "--speech_threshold=0"),
    "local_files_only": ("--local_files_only", "--no-local_files_only"),
}


@dataclass(frozen=True)
class Job:
    """A recording, and the files that its transcript is written to, by form."""

    recording: Path
    outputs: dict[str, Path]


def main(arguments: argparse.Namespace) -> None:
    jobs, problems = plan(arguments)
    if jobs:
        problems += transcribe_all(jobs, arguments)
    if problems:
        raise UserError("\n".join([f"{len(problems)} problems:", *problems] if len(problems) > 1 else problems))


def transcribe_all(jobs: list[Job], arguments: argparse.Namespace) -> list[str]:
    """What went wrong, a line a recording."""
    from asr.engines import Decoding, open_engine, require_languages

    model = model_folder(arguments.model)
    threads = workers()
    decoding = Decoding(arguments.device, arguments.compute_type, arguments.beam_size, arguments.task, threads)
    engine = open_engine(model, decoding)
    if arguments.language:
        require_languages(engine.languages, model, arguments.language)
    problems = []
    for job in jobs:
        try:
            problem = transcribe(job, engine, arguments)
        except (UserError, OSError, ValueError) as error:
            if full_disk(error):
                raise
            problem = f"{job.recording}: {error}"
        if problem:
            problems.append(problem)
            if len(jobs) > 1:
                print(problem, file=sys.stderr, flush=True)
    return problems


def transcribe(job: Job, engine, arguments: argparse.Namespace) -> str:
    """Write one recording's transcripts. Returns what is wrong with a recording that could be read in part; "" if nothing."""
    from asr.long_form import LongForm
    from asr.transcripts import Transcript, Transcripts, transcript_files

    started, count = time.monotonic(), 0
    heard = LongForm(
        job.recording,
        engine,
        arguments.language,
        prompt=" ".join(filter(None, (arguments.hotwords, arguments.prompt))),
        words="json" in arguments.format,
        piece_seconds=arguments.chunk_seconds,
        threshold=arguments.speech_threshold,
    )

    def write(transcripts: Transcripts) -> None:
        nonlocal count
        for segment in heard:
            transcripts.add(segment)
            count += 1
        transcripts.end(
            recording=job.recording.name,
            model=str(arguments.model),
            task=arguments.task,
            language=heard.language,
            language_probability=None if heard.probability is None else round(heard.probability, 4),
            seconds=round(heard.seconds, 3),
        )

    if arguments.output_dir == STDOUT:
        (form,) = arguments.format
        out = sys.stdout
        with redirect_stdout(sys.stderr):  # for all but the transcript
            write(Transcripts([Transcript(form, out)]))
            out.flush()
            say(job, heard, count, started)
    else:
        with transcript_files(job.outputs) as transcripts:
            write(transcripts)
        say(job, heard, count, started)
    if heard.cut_off:
        return f"{job.recording}: ends too early; what is there was transcribed: {heard.cut_off}"
    return ""


def say(job: Job, heard, count: int, started: float) -> None:
    where = ", ".join(map(str, job.outputs.values())) or "standard output"
    took = f"{heard.seconds:.1f} s of sound in {time.monotonic() - started:.1f} s"
    if not count:
        silent = "the model hears no words" if heard.pieces else "nobody speaks"
        print(f"{job.recording}: {silent}; the transcript is empty: {where}; {took}", flush=True)
        return
    language = heard.language if heard.probability is None else f"{heard.language} ({heard.probability:.0%} sure)"
    print(f"{job.recording}: {count} segments, {language}, {where}; {took}", flush=True)


def plan(arguments: argparse.Namespace) -> tuple[list[Job], list[str]]:
    """What is to be done, and what cannot be. Raises `UserError` where nothing can."""
    to_stdout = arguments.output_dir == STDOUT
    if not to_stdout and arguments.output_dir:
        writable(arguments.output_dir)
    jobs, problems, taken = [], [], {}
    for given in arguments.recordings:
        found, folder = recordings_of(given)
        if isinstance(found, str):
            problems.append(found)
            continue
        for recording in found:
            place = recording.parent
            if arguments.output_dir:
                place = arguments.output_dir / (recording.parent.relative_to(folder))
            outputs = {} if to_stdout else {form: place / f"{recording.stem}.{form}" for form in arguments.format}
            existing = [path for path in outputs.values() if path.exists()]
            if other := next((taken[path] for path in outputs.values() if path in taken), None):
                problems.append(f"{recording}: its transcript would be that of {other}; rename one of them")
            elif recording in outputs.values():
                problems.append(f"{recording}: its transcript would be written over it; give another --format")
            elif existing and arguments.existing == "skip":
                print(f"{recording}: skipped, {existing[0]} exists", file=sys.stderr, flush=True)
            elif existing and arguments.existing == "refuse":
                remedy = "--existing overwrite makes it again, --existing skip leaves it out"
                problems.append(f"{recording}: {existing[0]} exists; {remedy}")
            else:
                jobs.append(Job(recording, outputs))
            taken |= dict.fromkeys(outputs.values(), recording)
    if to_stdout and (len(jobs) > 1 or len(arguments.format) > 1):
        raise UserError("--output_dir -: only one recording in one --format can be written to standard output")
    return jobs, problems


def recordings_of(given: Path) -> tuple[list[Path] | str, Path]:
    """The recordings, or what is wrong; and the folder that their places are relative to."""
    if given.is_dir():
        files = sorted(path for path in given.rglob("*") if path.is_file())
        found = [path for path in files if path.suffix.lower() in RECORDINGS]
        return found or f"{given}: no recording in it, by the names of its {len(files)} files", given
    if not given.exists():
        return f"{given}: no such file or folder", given.parent
    return [given], given.parent


def writable(folder: Path) -> None:
    """Make an output folder before a model is opened for nothing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--output_dir {folder}: {error.strerror}; give another folder") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"--output_dir {folder}: no permission to write there; give another folder")


def model_folder(model: Path) -> Path:
    """A path as it is; a plain Whisper of the Hub, fetched."""
    if model.exists() or not (hub := HUB_ID.fullmatch(str(model))) or len(model.parts) != 2:
        return model.expanduser()
    if Path(model.parts[0]).exists():
        return model  # of a path that is mistyped the Hub knows nothing
    from asr.hub import download

    return download(hub[1], hub[2] or "main", names=("--model", "--model's @revision"))


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Flags, checked as far as that needs no model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("recordings", nargs="*", type=Path, metavar="RECORDING", help="audio or video files, or folders of them")
    add(
        *("--model", "--model_path"), type=Path, default=Path("outputs/convert_to_faster/int8"), metavar="FOLDER",
        help="a model of transformers, CTranslate2, whisper.cpp (a file too) or ONNX, or OWNER/NAME[@REVISION] of the Hub "
        "(default: %(default)s)",
    )  # fmt: skip
    add("--language", metavar="CODE", help="spoken language, such as de (default: detected, for each recording)")
    add("--task", choices=("transcribe", "translate"), default="transcribe", help="translate: into English")
    add(
        "--format", type=formats, default=("txt",), help="txt, srt, vtt, json (with words), several with commas between"
    )
    add("--output_dir", type=Path, metavar="FOLDER", help="default: beside each recording; -: standard output")
    add("--existing", choices=("refuse", "skip", "overwrite"), default="refuse", help="what if a transcript exists")
    add("--prompt", default="", help="text that the model takes for what was said before each piece: names, style")
    add("--hotwords", default="", help="words that are likely to be said; they stand before the prompt")
    add("--beam_size", "--num_beams", type=int, metavar="N", help="1: greedy (default: 5; ONNX is always greedy)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: a GPU if there is one")
    add(
        "--compute_type",
        default="default",
        help="of CTranslate2 (int8, float16, …) and transformers (float32, float16)",
    )
    add(
        "--chunk_seconds", type=float, metavar="S",
        help="longest piece that is transcribed at once, 1 to 30 (default: what the model's preprocessor_config.json says)",
    )  # fmt: skip
    add(
        "--speech_threshold", type=float, default=0.5, metavar="P",
        help="probability from which sound is taken for speech; 0: nothing is left out (default: %(default)s)",
    )  # fmt: skip
    add("--audio_path", type=Path, action="append", default=[], help=argparse.SUPPRESS)
    add("--num_workers", type=int, help=argparse.SUPPRESS)  # for several callers at once; here is one
    add("--local_files_only", action=argparse.BooleanOptionalAction, help=argparse.SUPPRESS)
    parsed = parser.parse_args(guide_flags(list(arguments), GUIDE))
    parsed.recordings = [path.expanduser() for path in parsed.recordings + parsed.audio_path]
    if not parsed.recordings:
        parser.error("give at least one recording")
    if parsed.language and parsed.language not in LANGUAGES:
        parser.error(f"--language {parsed.language}: no code of a language that Whisper knows; give one such as de, en")
    if parsed.beam_size is not None and parsed.beam_size < 1:
        parser.error(f"--beam_size {parsed.beam_size}: give 1 or more")
    if parsed.chunk_seconds is not None and not 1 <= parsed.chunk_seconds <= WINDOW_SECONDS:
        parser.error(f"--chunk_seconds {parsed.chunk_seconds:g}: Whisper hears 1 to {WINDOW_SECONDS:g} s at once")
    if not 0 <= parsed.speech_threshold < 1:
        parser.error(f"--speech_threshold {parsed.speech_threshold:g}: give a probability from 0 to below 1")
    return parsed


def formats(text: str) -> tuple[str, ...]:
    given = tuple(dict.fromkeys(text.split(",")))
    if unknown := [form for form in given if form not in FORMATS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(FORMATS)}")
    return given


if __name__ == "__main__":
    flags = parse(sys.argv[1:])
    run(
        lambda: main(flags),
        stopped="no transcript is left half-written; --existing skip goes on after the last whole one",
    )
