"""ggml files, decoded by whisper.cpp (`pywhispercpp`): beam search, fallback to sampling, words by its token times."""

import functools
from collections.abc import Iterator
from pathlib import Path

import _pywhispercpp as whisper
import numpy as np
from pywhispercpp.model import Model

from asr.engines import AGAIN, Decoding, ggml_file, require_saved_precision
from asr.english import ENGLISH
from asr.errors import UserError
from asr.segments import Segment, Word
from asr.whisper_cpp import open_in_child
from asr.whisper_shape import ENGLISH_VOCABULARY_SIZE, LANGUAGES, SAMPLE_RATE, VOCABULARY_SIZES, WINDOW_SECONDS

BEAM = 5  # of whisper.cpp's command line
SHORTEST = SAMPLE_RATE // 2  # samples; whisper.cpp hears nothing in less than 0.1 s
GREEDY, BEAM_SEARCH = 0, 1
FLOAT32 = 0  # whisper.cpp's type of a file
HUNDREDTH = 0.01  # seconds, whisper.cpp's unit of time


class Ggml:
    """See `asr.engines.Engine`."""

    seconds = WINDOW_SECONDS

    def __init__(self, path: Path, decoding: Decoding):
        file = ggml_file(path)
        require_saved_precision(path, decoding)
        if decoding.device == "cuda":
            raise UserError("--device cuda: pywhispercpp's wheel computes on the CPU; give cpu")
        open_in_child(file, decoding.threads)  # it ends the whole process on some files that are broken
        self._decoding = decoding
        beam = decoding.beam_size or BEAM
        try:
            self._model = Model(
                str(file),
                params_sampling_strategy=GREEDY if beam == 1 else BEAM_SEARCH,
                redirect_whispercpp_logs_to=None,  # to nowhere
                beam_search={"beam_size": beam, "patience": -1.0},
                n_threads=decoding.threads,
                translate=decoding.task == "translate",
                print_progress=False,
                print_realtime=False,
                no_context=True,
            )
            tokens = whisper.whisper_n_vocab(self._context)
        except (RuntimeError, TypeError, ValueError) as error:
            raise UserError(f"{file}: whisper.cpp cannot open it; {AGAIN}: {error}") from error
        if whisper.whisper_model_ftype(self._context) == FLOAT32:
            raise UserError(f"{file}: whisper.cpp cannot compute in float32, and ends the process; give the f16 one")
        self._multilingual = tokens > ENGLISH_VOCABULARY_SIZE
        known = LANGUAGES if tokens >= VOCABULARY_SIZES[128] else LANGUAGES[:-1]
        self.languages = frozenset(known if self._multilingual else (ENGLISH,))

    @property
    def _context(self):
        return self._model._ctx

    def detect_language(self, waveform: np.ndarray) -> tuple[str, float]:
        if not self._multilingual:
            return ENGLISH, 1.0
        (language, probability), _ = self._model.auto_detect_language(_padded(waveform))
        return language, float(probability)

    def segments(self, waveform: np.ndarray, language: str, prompt: str = "", words: bool = False) -> Iterator[Segment]:
        found = self._model.transcribe(
            _padded(waveform), language=language, initial_prompt=prompt, token_timestamps=words
        )
        longest = len(waveform) / SAMPLE_RATE
        for number, segment in enumerate(found):
            start, end = segment.t0 * HUNDREDTH, min(segment.t1 * HUNDREDTH, longest)
            if start < longest:
                yield Segment(start, end, segment.text, tuple(self._words(number)) if words else None)

    def _words(self, number: int) -> Iterator[Word]:
        """A segment's words: tokens joined up to the next that begins with a space."""
        tokens = []
        for i in range(whisper.whisper_full_n_tokens(self._context, number)):
            token = whisper.whisper_full_get_token_data(self._context, number, i)
            if token.id < self._end:
                spoken = whisper.whisper_token_to_bytes(self._context, token.id)
                if spoken.startswith(b" ") and tokens:
                    yield _word(tokens)
                    tokens = []
                tokens.append((spoken, token.t0 * HUNDREDTH, token.t1 * HUNDREDTH, token.p))
        if tokens:
            yield _word(tokens)

    @functools.cached_property
    def _end(self) -> int:
        return whisper.whisper_token_eot(self._context)


def _word(tokens: list[tuple[bytes, float, float, float]]) -> Word:
    """Of several tokens; its probability is their mean, as faster-whisper's."""
    text = b"".join(spoken for spoken, *_ in tokens).decode(errors="replace").strip()
    return Word(tokens[0][1], tokens[-1][2], text, sum(token[3] for token in tokens) / len(tokens))


def _padded(waveform: np.ndarray) -> np.ndarray:
    """float32 `[samples]`, not too short for whisper.cpp."""
    return np.pad(waveform.astype(np.float32, copy=False), (0, max(0, SHORTEST - len(waveform))))
