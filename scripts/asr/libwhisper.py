"""whisper.cpp's C interface, from the library that pywhispercpp brings along: one window of sound, and what comes next.

    model = Libwhisper(Path("ggml-model.bin"), threads=2)
    model.hear(waveform)                        # float32 [samples], 16 kHz, up to 30 s
    logits = model.logits(model.prompt("de"), past=0)      # float32 [vocabulary]: what may come after the prompt

pywhispercpp's own functions take one token at a time and give back the first of its logits alone. The names, and what each
takes, are those of include/whisper.h in whisper.cpp 1.8.5, which has logged nothing since the first model was opened here.

whisper.cpp ends the whole process on some broken files: `whisper_cpp.open_in_child` finds out which.
"""

import ctypes
import functools
import weakref
from collections.abc import Iterable
from ctypes import POINTER, c_char_p, c_float, c_int, c_void_p
from pathlib import Path

import _pywhispercpp
import numpy as np

from asr.english import require_english
from asr.errors import UserError
from asr.whisper_shape import WINDOW_SAMPLES

ALL_F32 = 0  # ggml.h, enum ggml_ftype
LOG = ctypes.CFUNCTYPE(None, c_int, c_void_p, c_void_p)  # level, text, data
INTERFACE = {
    "whisper_init_from_file": (c_void_p, [c_char_p]),
    "whisper_free": (None, [c_void_p]),
    "whisper_log_set": (None, [LOG, c_void_p]),
    "whisper_pcm_to_mel": (c_int, [c_void_p, c_void_p, c_int, c_int]),  # samples, their number, threads
    "whisper_encode": (c_int, [c_void_p, c_int, c_int]),  # first frame, threads
    "whisper_decode": (c_int, [c_void_p, POINTER(c_int), c_int, c_int, c_int]),  # tokens, number, past, threads
    "whisper_get_logits": (POINTER(c_float), [c_void_p]),
    "whisper_n_vocab": (c_int, [c_void_p]),
    "whisper_n_text_ctx": (c_int, [c_void_p]),
    "whisper_model_ftype": (c_int, [c_void_p]),
    "whisper_is_multilingual": (c_int, [c_void_p]),
    "whisper_lang_id": (c_int, [c_char_p]),
    "whisper_token_to_str": (c_char_p, [c_void_p, c_int]),
    "whisper_token_eot": (c_int, [c_void_p]),
    "whisper_token_sot": (c_int, [c_void_p]),
    "whisper_token_lang": (c_int, [c_void_p, c_int]),
    "whisper_token_transcribe": (c_int, [c_void_p]),
    "whisper_token_translate": (c_int, [c_void_p]),
    "whisper_token_not": (c_int, [c_void_p]),
}


@LOG
def say_nothing(level, text, data) -> None:
    """What whisper.cpp logs to from the start."""


@functools.cache
def library() -> ctypes.CDLL:
    """whisper.cpp, silent. A module's symbols are looked up in the libraries that it was linked with too."""
    found = ctypes.CDLL(_pywhispercpp.__file__)
    for name, (result, arguments) in INTERFACE.items():
        function = getattr(found, name)
        function.restype, function.argtypes = result, arguments
    found.whisper_log_set(say_nothing, None)
    return found


class Libwhisper:
    """A ggml file, opened: on the GPU if whisper.cpp was built for one, as PyPI's wheels are not."""

    def __init__(self, file: Path, threads: int):
        """`threads`: of the CPU. Raises `UserError` if whisper.cpp cannot open the file."""
        self._file, self._threads, self._c = file, threads, library()
        self._context = self._c.whisper_init_from_file(bytes(file)) if file.is_file() else None
        if not self._context:
            raise UserError(f"{file}: whisper.cpp cannot open it; convert the model again")
        weakref.finalize(self, self._c.whisper_free, self._context)
        self.end = self._c.whisper_token_eot(self._context)  # the id of <|endoftext|>; text's ids are below it
        self.positions = self._c.whisper_n_text_ctx(self._context)  # of the decoder
        self._tokens = self._c.whisper_n_vocab(self._context)

    def is_float32(self) -> bool:
        """Whether all weights are float32: then whisper.cpp opens the file, and ends the process when it computes."""
        return self._c.whisper_model_ftype(self._context) == ALL_F32

    def require_computable(self) -> None:
        """Raises `UserError` if whisper.cpp would end the process."""
        if self.is_float32():
            raise UserError(
                f"{self._file}: float32; whisper.cpp opens it and ends the process when it computes, since its "
                "convolutions take float16 weights alone; take f16"
            )

    def hear(self, waveform: np.ndarray) -> None:
        """Encode a clip, padded to 30 s as transformers pads it: whisper.cpp reads past the end of a very short one.

        Raises:
            ValueError: the clip is longer.
        """
        if len(waveform) > WINDOW_SAMPLES:
            raise ValueError("a clip of over 30 s; whisper.cpp's `default` takes it")
        self.require_computable()
        samples = np.zeros(WINDOW_SAMPLES, np.float32)
        samples[: len(waveform)] = waveform
        failed = self._c.whisper_pcm_to_mel(self._context, samples.ctypes.data, len(samples), self._threads)
        if failed or self._c.whisper_encode(self._context, 0, self._threads):
            raise RuntimeError(f"{self._file}: whisper.cpp cannot encode a clip")

    def logits(self, tokens: list[int], past: int) -> np.ndarray:
        """float32 `[vocabulary]`: what comes after `tokens`, before which it was given so many since it heard the clip."""
        given = (c_int * len(tokens))(*tokens)
        if self._c.whisper_decode(self._context, given, len(tokens), past, self._threads):
            raise RuntimeError(f"{self._file}: whisper.cpp cannot decode {len(tokens)} tokens after {past}")
        # A row for each token, of which whisper.cpp fills the last.
        rows = np.ctypeslib.as_array(self._c.whisper_get_logits(self._context), (len(tokens), self._tokens))
        return rows[-1].copy()

    def prompt(self, language: str) -> list[int]:
        """The ids that stand before a transcript without timestamps. Raises `UserError` for a language it does not know."""
        start, no_timestamps = self._c.whisper_token_sot(self._context), self._c.whisper_token_not(self._context)
        spoken = self.language(language)
        if not self._c.whisper_is_multilingual(self._context):
            return [start, no_timestamps]
        return [start, spoken, self._c.whisper_token_transcribe(self._context), no_timestamps]

    def language(self, language: str) -> int:
        """Its token's id. Raises `UserError` for a language that the model does not know."""
        if not self._c.whisper_is_multilingual(self._context):
            require_english(language, self._file)
        number = self._c.whisper_lang_id(language.encode())
        token = self._c.whisper_token_lang(self._context, number)
        # A model without Cantonese, the last, has the tasks where it would stand.
        if number < 0 or token >= self._c.whisper_token_translate(self._context):
            raise UserError(
                f"{self._file}: the model does not know the language {language!r}; leave what is in it out, or take a model that does"
            )
        return token

    def text(self, tokens: Iterable[int]) -> str:
        """What the ids below the end say; those above are control tokens and timestamps."""
        spoken = (self._c.whisper_token_to_str(self._context, token) for token in tokens if token < self.end)
        return b"".join(spoken).decode(errors="replace").strip()
