"""The engine faster-whisper: a CTranslate2 folder, in each of the ways that users decode.

    engine = FasterWhisper(Path("outputs/convert_to_faster/int8"), batch=16, beam_size=5, threads=2)
    for position, text in engine.default(waveforms, "de"): ...

Engines as in `decoding.py`.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import ctranslate2
import faster_whisper
import numpy as np

from asr.decoding import clip_batches, encoder_windows, longest_first, max_tokens, text_tokens
from asr.english import prompt_names
from asr.errors import UserError
from asr.features import mel_filters
from asr.whisper_shape import WINDOW_FRAMES

REALTIME_BATCH = 16  # RealtimeSTT's default `batch_size`


class FasterWhisper:
    """A CTranslate2 folder, opened by faster-whisper as users do: on the GPU if there is one, in the saved precision.

    Its engines are ways to decode: `greedy`, `beam`, `default`, `without_timestamps`, `batched`.
    """

    def __init__(self, folder: Path, batch: int, beam_size: int, threads: int):
        """Raises `UserError` if faster-whisper cannot open the folder, or CTranslate2 not compute on the GPU.

        Args:
            folder: model.bin, config.json, tokenizer.json, preprocessor_config.json.
            batch: clips that `greedy` decodes at once.
            beam_size: of the other three; faster-whisper's own default is 5.
            threads: of the CPU.
        """
        ctranslate2.set_random_seed(0)  # faster-whisper samples where its beam search has failed
        try:
            self._model = _RememberingWhisper(str(folder), compute_type="default", cpu_threads=threads)
            self._filters = mel_filters(folder)
            # CTranslate2 opens a folder without it, and fails when it first decodes.
            if "suppress_ids" not in json.loads((folder / "config.json").read_text(encoding="utf-8")):
                raise ValueError("config.json has no suppress_ids")
            if (makes := self._filters.shape[1]) != (wants := self._model.model.n_mels):
                raise ValueError(f"preprocessor_config.json makes {makes} mel bins, the model wants {wants}")
        except Exception as error:  # the tokenizers library raises no narrower one
            raise UserError(f"{folder}: faster-whisper cannot open it; convert the model again: {error}") from error
        self._folder, self._batch, self._beam_size = folder, batch, beam_size
        if self._model.model.device == "cuda":
            self._compute_once()

    def _compute_once(self) -> None:
        """CTranslate2 opens a folder without CUDA's libraries, and looks for them when it first computes."""
        mels = self._filters.shape[1]
        try:
            faster_whisper.WhisperModel.encode(self._model, np.zeros((mels, WINDOW_FRAMES), np.float32))
        except RuntimeError as error:
            remedy = (
                "pip install nvidia-cublas-cu12 nvidia-cudnn-cu12, then add their folders nvidia/*/lib to "
                "LD_LIBRARY_PATH, or set CUDA_VISIBLE_DEVICES= to run on the CPU"
            )
            raise UserError(f"{self._folder}: CTranslate2 cannot compute on the GPU: {error}; {remedy}") from error

    def greedy(self, waveforms: Sequence[np.ndarray], language: str) -> Iterator[tuple[int, str]]:
        """Decodes as `Transformers` does, from the same features, so that only the conversion can make a difference.

        faster-whisper's own `transcribe` pads the log-mel with zeros, where transformers pads the waveform.
        """
        tokenizer = self._model.hf_tokenizer
        prompt = self.prompt(language)
        end = self._token("<|endoftext|>")
        for positions in clip_batches(waveforms, self._batch):
            clips = [waveforms[i] for i in positions]
            features = ctranslate2.StorageView.from_array(encoder_windows(clips, self._filters, "cpu"))
            written = self._model.model.generate(
                features,
                [prompt] * len(clips),
                beam_size=1,
                max_length=2 * max_tokens(len(clips[0])),  # CTranslate2 halves it
            )
            for position, clip, result in zip(positions, clips, written, strict=True):
                tokens = text_tokens(result.sequences_ids[0], end, max_tokens(len(clip)))
                yield position, tokenizer.decode(tokens).strip()

    def prompt(self, language: str) -> list[int]:
        """The ids before a transcript without timestamps. Raises `UserError` for a language it does not know."""
        names = prompt_names(language, not self._model.model.is_multilingual, self._folder)
        return [self._token(name) for name in names]

    def encoded(self, waveform: np.ndarray) -> np.ndarray:
        """What the encoder says of a clip, padded to 30 s: float32 `[1500, width]`."""
        return np.asarray(self._encode(waveform).to_device(ctranslate2.Device.cpu).to(ctranslate2.DataType.float32))[0]

    def log_probabilities(self, waveform: np.ndarray, prompt: Sequence[int], text: Sequence[int]) -> np.ndarray:
        """float32 `[len(text)]`, as `Transformers.log_probabilities`; `prompt` ends with `<|notimestamps|>`."""
        # `align` adds the last token of the prompt by itself.
        (found,) = self._model.model.align(self._encode(waveform), list(prompt[:-1]), [list(text)], WINDOW_FRAMES // 2)
        return np.log(np.maximum(found.text_token_probs, np.finfo(np.float32).tiny), dtype=np.float32)

    def _encode(self, waveform: np.ndarray) -> ctranslate2.StorageView:
        features = encoder_windows([waveform], self._filters, "cpu")
        return self._model.model.encode(ctranslate2.StorageView.from_array(features))

    def beam(self, waveforms: Sequence[np.ndarray], language: str) -> Iterator[tuple[int, str]]:
        """The defaults without the fallback to sampling, so that a transcript depends on its clip alone."""
        for position in longest_first(waveforms):
            yield position, self._transcribe(self._model, waveforms[position], language, temperature=0.0)

    def default(self, waveforms: Sequence[np.ndarray], language: str) -> Iterator[tuple[int, str]]:
        """faster-whisper's own defaults, the language given: timestamps, beam search, fallback to sampling."""
        for position in longest_first(waveforms):
            yield position, self._transcribe(self._model, waveforms[position], language)

    def without_timestamps(self, waveforms: Sequence[np.ndarray], language: str) -> Iterator[tuple[int, str]]:
        """The defaults, but for `without_timestamps=True`."""
        for position in longest_first(waveforms):
            yield position, self._transcribe(self._model, waveforms[position], language, without_timestamps=True)

    def batched(self, waveforms: Sequence[np.ndarray], language: str) -> Iterator[tuple[int, str]]:
        """As RealtimeSTT 1.1.2 calls faster-whisper: cut at silences, the pieces decoded together; for any length."""
        pipeline = faster_whisper.BatchedInferencePipeline(self._model)
        options = {"initial_prompt": None, "suppress_tokens": [-1], "vad_filter": True, "batch_size": REALTIME_BATCH}
        for position in longest_first(waveforms):
            yield position, self._transcribe(pipeline, waveforms[position], language, **options)

    def seconds_saved(self) -> float:
        """Seconds of the encoder that were saved since this was last asked, by windows decoded in several ways."""
        seconds, self._model.seconds_saved = self._model.seconds_saved, 0.0
        return seconds

    def _transcribe(self, model, waveform: np.ndarray, language: str, **options) -> str:
        self.prompt(language)  # of an unknown language faster-whisper makes English
        segments, _ = model.transcribe(waveform, language=language, beam_size=self._beam_size, **options)
        return " ".join(segment.text.strip() for segment in segments)

    def _token(self, token: str) -> int:
        found = self._model.hf_tokenizer.token_to_id(token)
        if found is None:
            raise UserError(
                f"{self._folder}/tokenizer.json: the model does not know {token}; leave a language that it has no token for out"
            )
        return found


class _RememberingWhisper(faster_whisper.WhisperModel):
    """faster-whisper's model, which encodes a window once, though it is decoded with timestamps and without.

    For a small model on a CPU the encoder is half of the work. What it says is kept up to `MOST_BYTES`.
    """

    MOST_BYTES = 256_000_000  # 330 windows of the sample's model, 33 of large-v3's

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self._encoded: dict[bytes, tuple[ctranslate2.StorageView, float]] = {}  # and the seconds that it took
        self._bytes, self.seconds_saved = 0, 0.0

    def encode(self, features: np.ndarray) -> ctranslate2.StorageView:
        """`features`: float32 `[mels, 3000]`, or a batch of them."""
        key = hashlib.blake2b(features.tobytes()).digest()
        if key in self._encoded:
            encoded, seconds = self._encoded[key]
            self.seconds_saved += seconds
            return encoded
        start = time.perf_counter()
        encoded = super().encode(features)
        size = 4 * int(np.prod(encoded.shape))
        if self._bytes + size <= self.MOST_BYTES:
            self._bytes += size
            self._encoded[key] = encoded, time.perf_counter() - start
        return encoded
