"""CTranslate2 folders, decoded by faster-whisper: beam search, fallback to sampling, words by cross-attention.

faster-whisper's own `word_timestamps=True` changes what is heard: where a model closes no segment, it decodes again what
comes after the last word. Here words are aligned to what was heard without them.
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import ctranslate2
import faster_whisper
import numpy as np
from faster_whisper.tokenizer import Tokenizer

from asr.engines import AGAIN, Decoding, chunk_seconds
from asr.english import ENGLISH
from asr.errors import UserError
from asr.segments import Segment, Word
from asr.whisper_shape import HOP_SAMPLES, LANGUAGES, SAMPLE_RATE

BEAM = 5  # faster-whisper's own default, as is what follows
PUNCTUATION = ("\"'“¿([{-", "\"'.。,，!！?？:：”)]}、")  # that belongs to the word after it, and before it


class CTranslate2:
    """See `asr.engines.Engine`."""

    def __init__(self, folder: Path, decoding: Decoding):
        self._decoding = decoding
        ctranslate2.set_random_seed(0)  # faster-whisper samples where its beam search has failed
        options = {"device": decoding.device, "compute_type": decoding.compute_type, "cpu_threads": decoding.threads}
        if decoding.compute_type != "default":
            device = decoding.device
            if device == "auto":
                device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
            if decoding.compute_type not in (able := ctranslate2.get_supported_compute_types(device)):
                raise UserError(
                    f"--compute_type {decoding.compute_type}: CTranslate2 cannot compute in it on this machine's {device}; "
                    f"give one of {', '.join(sorted(able))}, or default"
                )
        try:
            self._model = _Whisper(str(folder), **options)
        except Exception as error:  # the tokenizers library raises no narrower one
            raise UserError(f"{folder}: faster-whisper cannot open it; {AGAIN}: {error}") from error
        mels, wanted = self._model.feature_extractor.mel_filters.shape[0], self._model.model.n_mels
        if mels != wanted:
            raise UserError(
                f"{folder}: the model wants {wanted} mel bins, and preprocessor_config.json is missing or makes {mels}; "
                "copy that file from the model that was converted"
            )
        self.seconds = chunk_seconds(folder)
        codes = [code for code in LANGUAGES if self._model.hf_tokenizer.token_to_id(f"<|{code}|>") is not None]
        self.languages = frozenset(codes) if self._model.model.is_multilingual else frozenset({ENGLISH})

    def detect_language(self, waveform: np.ndarray) -> tuple[str, float]:
        if not self._model.model.is_multilingual:
            return ENGLISH, 1.0
        language, probability, _ = self._model.detect_language(waveform)
        return language, float(probability)

    def segments(self, waveform: np.ndarray, language: str, prompt: str = "", words: bool = False) -> Iterator[Segment]:
        found, _ = self._model.transcribe(
            waveform,
            language=language,
            task=self._decoding.task,
            beam_size=self._decoding.beam_size or BEAM,
            initial_prompt=prompt or None,
            condition_on_previous_text=bool(prompt),  # else the prompt would hold for the first window alone
        )
        if words:
            yield from self._with_words(found, len(waveform), language)
            return
        longest = len(waveform) / SAMPLE_RATE
        for segment in found:
            yield Segment(float(segment.start), min(float(segment.end), longest), segment.text)

    def _with_words(self, found: Iterator, samples: int, language: str) -> Iterator[Segment]:
        """Segments with their words, each window's together."""
        model = self._model
        tokenizer = Tokenizer(model.hf_tokenizer, model.model.is_multilingual, self._decoding.task, language)
        # A window's segments come before the next window is encoded.
        heard = ((segment, model.encoded) for segment in found)
        for seek, window in groupby(heard, key=lambda pair: pair[0].seek):
            pairs = list(window)
            frames = min(model.feature_extractor.nb_max_frames, samples // HOP_SAMPLES - seek)
            parts = [{"seek": seek, "start": s.start, "end": s.end, "tokens": s.tokens} for s, _ in pairs]
            model.add_word_timestamps([parts], tokenizer, pairs[0][1], max(frames, 2), *PUNCTUATION, 0.0)
            for part, (segment, _) in zip(parts, pairs, strict=True):
                aligned = [
                    Word(float(word["start"]), float(word["end"]), word["word"].strip(), float(word["probability"]))
                    for word in part["words"]
                    if word["word"].strip()
                ]
                end = min(float(part["end"]), samples / SAMPLE_RATE)
                yield Segment(float(part["start"]), end, segment.text, tuple(aligned))


class _Whisper(faster_whisper.WhisperModel):
    """Keeps what the encoder said last, so that words can be aligned without encoding again."""

    encoded: ctranslate2.StorageView

    def encode(self, features: np.ndarray) -> ctranslate2.StorageView:
        self.encoded = super().encode(features)
        return self.encoded
