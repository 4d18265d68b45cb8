"""The engine whisper.cpp, which runs ggml files: greedy, by its own defaults, and how probable it finds a text.

    engine = WhisperCpp(Path("outputs/convert_to_ggml/q5_1/ggml-model.bin"), threads=2)
    for position, text in engine.greedy(waveforms, "de"): ...
    engine.log_probabilities(waveform, engine.prompt("de"), text)

An engine as in `decoding.py`: float32 `[samples]` at 16 kHz and Whisper's code of a language -> positions and
transcripts. whisper.cpp ends the whole process on some broken files; `open_in_child` finds out which.
"""

import ctypes
import functools
import os
import struct
import subprocess
import sys
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

import _pywhispercpp
import numpy as np

from asr.errors import UserError
from asr.libwhisper import LOG, Libwhisper, library
from asr.whisper_shape import SAMPLE_RATE

GENERATION_CONFIG = "generation_config.json"
MAGIC = b"lmgg"  # of whisper.cpp's files
SIZES = 11  # int32, after it
SHORTEST_SECONDS = 0.1  # whisper.cpp hears nothing in less
NO_WEIGHTS = "no tensors loaded"  # the file ends before them; whisper.cpp takes it for "empty model for testing"
WARNING = 3  # ggml.h, enum ggml_log_level; errors are 4


class WhisperCpp:
    """A ggml file, opened by whisper.cpp; silent."""

    def __init__(self, file: Path, threads: int):
        """Raises `UserError` if whisper.cpp cannot open the file.

        Args:
            file: ggml-model.bin. `greedy` never writes the tokens that the generation_config.json beside it suppresses, as
                transformers does; a ggml file cannot say them, so without it none are suppressed.
            threads: of the CPU.
        """
        self._file, self._threads = file, threads
        self._model = Libwhisper(file, threads)

    def greedy(self, waveforms: Sequence[np.ndarray], language: str) -> Iterator[tuple[int, str]]:
        """The most probable token, one after the other, as `Transformers` decodes; no timestamps, no second try.

        Log-mel, encoder, decoder, ids of control tokens and the text of tokens are whisper.cpp's. Its own loop would
        suppress signs by a list of its own and drop what it takes for silence.
        """
        from asr.decoding import longest_first, max_tokens  # which imports torch; `open_in_child` does without

        prompt = self._model.prompt(language)
        never, never_first = self._suppressed
        for position in longest_first(waveforms):
            waveform = waveforms[position]
            self._model.hear(waveform)
            written = []
            while len(written) < max_tokens(len(waveform)):
                logits = self._next(prompt, written)
                logits[never] = -np.inf
                if not written:
                    logits[never_first] = -np.inf
                token = int(logits.argmax())
                if token == self._model.end:
                    break
                written.append(token)
            yield position, self._model.text(written)

    def log_probabilities(self, waveform: np.ndarray, prompt: list[int], text: list[int]) -> np.ndarray:
        """float32 `[len(text)]`: each token's log-probability after the sound, the prompt and the tokens before it.

        The softmax is over the text's tokens, the ids below `<|endoftext|>`. whisper.cpp keeps keys and values in float16
        whatever the type of the weights.

        Args:
            waveform: float32 `[samples]`, up to 30 s.
            prompt: `<|startoftranscript|>`, language, task, `<|notimestamps|>`; see `prompt`.
            text: ids below `<|endoftext|>`.

        Raises:
            ValueError: the waveform is over 30 s, or the tokens do not fit into the decoder.
        """
        if len(prompt) + len(text) > self._model.positions:
            raise ValueError(f"{len(prompt)} + {len(text)} tokens: more than the decoder's {self._model.positions}")
        self._model.hear(waveform)
        found = np.empty(len(text), np.float32)
        for number, token in enumerate(text):
            logits = self._next(prompt, text[:number])[: self._model.end].astype(np.float64)
            logits -= logits.max()
            found[number] = logits[token] - np.log(np.exp(logits).sum())
        return found

    def encoded(self, waveform: np.ndarray) -> None:
        """None: whisper.cpp's interface does not give what its encoder says."""
        return None

    def default(self, waveforms: Sequence[np.ndarray], language: str) -> Iterator[tuple[int, str]]:
        """whisper.cpp's own defaults, the language given: timestamps, greedy, fallback to the best of 5 samples.

        So programs decode that use the library as it is; `whisper-cli` uses a beam of 5. Recordings of any length, in one
        order whatever their own, since whisper.cpp's random numbers go on from clip to clip.
        """
        from asr.decoding import longest_first

        self._model.language(language)
        self._model.require_computable()
        greedy = _pywhispercpp.whisper_sampling_strategy.WHISPER_SAMPLING_GREEDY
        params = _pywhispercpp.whisper_full_default_params(greedy)
        params.language, params.n_threads, params.print_progress = language, self._threads, False
        for position in longest_first(waveforms):
            waveform = np.ascontiguousarray(waveforms[position], np.float32)
            if len(waveform) < SHORTEST_SECONDS * SAMPLE_RATE:
                yield position, ""
                continue
            context = self._second_context
            if _pywhispercpp.whisper_full(context, params, waveform, len(waveform)):
                raise RuntimeError(f"{self._file}: whisper.cpp cannot transcribe a clip")
            segments = range(_pywhispercpp.whisper_full_n_segments(context))
            texts = (_pywhispercpp.whisper_full_get_segment_text(context, segment) for segment in segments)
            yield position, " ".join(text.decode(errors="replace").strip() for text in texts)

    def prompt(self, language: str) -> list[int]:
        """The ids that stand before a transcript without timestamps. Raises `UserError` for a language it does not know."""
        return self._model.prompt(language)

    def _next(self, prompt: list[int], written: list[int]) -> np.ndarray:
        """float32 `[vocabulary]`: what comes after them; all but the last of `written` were asked about before."""
        if not written:
            return self._model.logits(prompt, past=0)
        return self._model.logits(written[-1:], past=len(prompt) + len(written) - 1)

    @functools.cached_property
    def _second_context(self):
        """The file opened again, for pywhispercpp's functions, which take no context of the C interface."""
        defaults = _pywhispercpp.whisper_context_default_params()
        context = _pywhispercpp.whisper_init_from_file_with_params(str(self._file), defaults)
        weakref.finalize(self, _pywhispercpp.whisper_free, context)
        return context

    @functools.cached_property
    def _suppressed(self) -> tuple[list[int], list[int]]:
        """Tokens that are never written, and those that are not written first."""
        from asr.decoding import read_suppressed  # which imports torch

        beside = self._file.with_name(GENERATION_CONFIG)
        return read_suppressed(beside) if beside.is_file() else ([], [])


def open_in_child(file: Path, threads: int) -> None:
    """Let whisper.cpp open a file, hear a second of sound and answer, in a process of its own, which it may end.

    A float32 file is opened and no more: whisper.cpp cannot compute with it.

    Raises:
        UserError: it could not, with the first that it said of it.
    """
    try:
        half = file.is_file() and _ends_before_its_vocabulary(file)
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); mend that, or convert the model again") from error
    if half:
        raise UserError(f"{file}: half a file, it ends before its vocabulary does; convert the model again")
    code = "import sys; from asr.whisper_cpp import _open; _open(sys.argv[1], int(sys.argv[2]))"
    paths = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code, file, str(threads)],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode:
        said = next((line for line in done.stderr.splitlines() if line.strip()), "it said nothing")
        raise UserError(
            f"{file}: whisper.cpp cannot open it; convert the model again: {said} (status {done.returncode})"
        )


def _ends_before_its_vocabulary(file: Path) -> bool:
    """There whisper.cpp takes the last length that it read for that of each further token, and reads for hours."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        if opened.read(len(MAGIC)) != MAGIC:
            return False  # whisper.cpp says so
        opened.seek(4 * SIZES, os.SEEK_CUR)
        try:
            mels, bins = struct.unpack("<2I", opened.read(8))
            opened.seek(min(4 * mels * bins, size), os.SEEK_CUR)
            (tokens,) = struct.unpack("<I", opened.read(4))
            if 4 * tokens > size:  # each has its length before it
                return True
            for _ in range(tokens):
                (length,) = struct.unpack("<I", opened.read(4))
                opened.seek(length, os.SEEK_CUR)
        except struct.error:
            return True
        return opened.tell() > size


def _open(file: str, threads: int) -> None:
    @LOG
    def say(level, text, _):
        if level >= WARNING:
            said = ctypes.string_at(text).decode(errors="replace")
            print(said, end="", file=sys.stderr, flush=True)
            if NO_WEIGHTS in said:
                os._exit(1)

    library().whisper_log_set(say, None)
    try:
        model = Libwhisper(Path(file), threads)
        if not model.is_float32():
            model.hear(0.1 * np.sin(2 * np.pi * 220 * np.arange(SAMPLE_RATE) / SAMPLE_RATE))
            model.logits(model.prompt("en"), past=0)
    except (UserError, RuntimeError) as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    os._exit(0)  # what is logged while the interpreter ends would look for `say` in vain
