"""What is said in recordings: audio or video, of any length, by any of the models here, as text, subtitles or JSON.

In: files, or folders with all below them; a model in the form of transformers, CTranslate2, whisper.cpp or ONNX. Out: for each
recording a transcript of its name, beside it or in --output_dir. A command, not a stage: it reads no params.yaml.

    python scripts/transcribe.py talk.mp4 --model outputs/convert_to_faster/int8 --language de --format srt,json
    python scripts/transcribe.py recordings/ --output_dir transcripts --existing skip
    make transcribe FILE=talk.mp4
"""

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

from asr.command import full_disk, run
from asr.environment import workers
from asr.errors import UserError
from asr.guide_flags import HUB_ID, guide_flags
from asr.transcriptions import STDOUT, Job, planned
from asr.transcripts import FORMATS
from asr.whisper_shape import LANGUAGES, WINDOW_SECONDS

LONG_SPEECH, SHORT_PIECE = 10.0, 5.0  # seconds
SLOWEST = 2.5  # characters a second of speech; Chinese has 4 or more, German 12
# The guide's infer_tfs.py and infer_ct2.py are called with these; --audio_path and --model_path are flags here too.
GUIDE = {
    "use_gpu": ("--device=auto", "--device=cpu"),
    "use_int8": ("--compute_type=int8", "--compute_type=default"),
    "vad_filter": ("--speech_threshold=0.5", "--speech_threshold=0"),
    "local_files_only": ("--local_files_only", "--no-local_files_only"),
}


def main(arguments: argparse.Namespace) -> None:
    jobs, problems = planned(arguments.recordings, arguments.output_dir, arguments.format, arguments.existing)
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
            remedy = "; give a recording that plays" if isinstance(error, ValueError) else ""
            problem = f"{job.recording}: {error}{remedy}"
        if problem:
            problems.append(problem)
            if len(jobs) > 1:
                print(problem, file=sys.stderr, flush=True)
    return problems


def transcribe(job: Job, engine, arguments: argparse.Namespace) -> str:
    """Write one recording's transcripts. Returns what is wrong with a recording that could be read in part; "" if nothing."""
    from asr.long_form import LongForm
    from asr.transcripts import Transcript, Transcripts, transcript_files

    started, count, characters = time.monotonic(), 0, 0
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
        nonlocal count, characters
        for segment in heard:
            transcripts.add(segment)
            count += 1
            characters += len(segment.text.strip())
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
    could_be_shorter = arguments.speech_threshold and (arguments.chunk_seconds or engine.seconds) > SHORT_PIECE
    if count and could_be_shorter and heard.speech >= LONG_SPEECH and characters < SLOWEST * heard.speech:
        print(
            f"{job.recording}: only {characters} characters for {heard.speech:.0f} s of speech; if some is left out, the model may "
            f"know shorter pieces alone: try --chunk_seconds {SHORT_PIECE:g}",
            file=sys.stderr,
            flush=True,
        )
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
    segments = "1 segment" if count == 1 else f"{count} segments"
    print(f"{job.recording}: {segments}, {language}, {where}; {took}", flush=True)


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
