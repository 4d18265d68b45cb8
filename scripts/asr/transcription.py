"""Engines: from waveforms to transcripts, by transformers and by faster-whisper.

    engine = Transformers(Path("outputs/merge_lora"), batch=16)
    engine = FasterWhisper(Path("outputs/convert_to_faster/int8"), batch=16, beam_size=5, threads=2).default
    for position, text in engine(waveforms, "de"): ...

An engine is called with waveforms (float32 `[samples]`, 16 kHz) and the language that they are in (Whisper's code). It
yields the position of a waveform and its transcript as it goes, not in order; it never guesses the language.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import ctranslate2
import faster_whisper
import numpy as np
import torch

from asr.errors import UserError
from asr.features import compose, log_mels, mel_filters
from asr.labels import spoken
from asr.model import load_whisper
from asr.whisper_shape import MAX_TOKENS, SAMPLE_RATE, WINDOW_FRAMES, WINDOW_SAMPLES

# A model that rambles is stopped at what speech could hold: fast German has about 7 tokens a second, and Whisper's
# decoder has room for 15 (448 in 30 s). Without it an untrained model writes 448 tokens for each word it hears.
TOKENS_A_SECOND = 15
EXTRA_TOKENS = 16  # a clip of one word has little but its word
MOST_TOKENS = MAX_TOKENS // 2  # as in openai-whisper (`sample_len`) and in CTranslate2

REALTIME_BATCH = 16  # RealtimeSTT's default `batch_size`


def max_tokens(samples: int) -> int:
    """The most text tokens that greedy decoding writes for a clip of so many samples."""
    return min(int(samples / SAMPLE_RATE * TOKENS_A_SECOND) + EXTRA_TOKENS, MOST_TOKENS)


class Transformers:
    """A plain Whisper in transformers: greedy, without timestamps, each clip padded to 30 s.

    On a GPU, if there is one, in float16, which OpenAI's weights come in; else on the CPU in float32.
    """

    def __init__(self, folder: Path, batch: int, full_precision: bool = False):
        """Raises `UserError` if the folder holds no Whisper.

        Args:
            batch: clips that are decoded at once.
            full_precision: float32 on a GPU too.
        """
        self._folder, self._batch = folder, batch
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._dtype = torch.float32 if full_precision or self._device == "cpu" else torch.float16
        self._model, self._tokenizer, _ = load_whisper(folder, dtype=self._dtype)
        self._model.to(self._device).eval()
        self._filters = mel_filters(folder)

    def prompt(self, language: str) -> list[int]:
        """The ids before a transcript without timestamps. Raises `UserError` for a language that the model does not know."""
        known = getattr(self._model.generation_config, "lang_to_id", None)
        if known is None:
            raise UserError(f"{self._folder}: the model knows English alone, and no languages; it is not judged here")
        if f"<|{language}|>" not in known:
            raise UserError(f"{self._folder}: the model does not know the language {language!r}")
        names = ("startoftranscript", language, "transcribe", "notimestamps")
        return self._tokenizer.convert_tokens_to_ids([f"<|{name}|>" for name in names])

    def tokens(self, text: str, language: str) -> list[int]:
        """A transcript's ids as the decoder is taught them, and no more than it may write."""
        return self._tokenizer.encode(spoken(text, language), add_special_tokens=False)[:MOST_TOKENS]

    @torch.inference_mode()
    def __call__(self, waveforms: Sequence[np.ndarray], language: str) -> Iterator[tuple[int, str]]:
        self.prompt(language)
        end = self._tokenizer.eos_token_id
        for positions in clip_batches(waveforms, self._batch):
            clips = [waveforms[i] for i in positions]
            features = torch.from_numpy(encoder_windows(clips, self._filters, self._device))
            written = self._model.generate(
                features.to(self._device, self._dtype),
                language=language,
                task="transcribe",
                return_timestamps=False,
                num_beams=1,
                do_sample=False,
                max_new_tokens=max_tokens(len(clips[0])),
            )
            for position, clip, tokens in zip(positions, clips, written.tolist(), strict=True):
                yield position, self._tokenizer.decode(text_tokens(tokens, end, max_tokens(len(clip)))).strip()

    greedy = __call__

    @torch.inference_mode()
    def no_speech_probabilities(self, waveforms: Sequence[np.ndarray]) -> list[float]:
        """How probable `<|nospeech|>` is after `<|startoftranscript|>`, where runtimes read it, for each clip."""
        start, none = self._tokenizer.convert_tokens_to_ids(["<|startoftranscript|>", "<|nospeech|>"])
        said = torch.tensor([[start]], device=self._device)
        logits = (self._model(self._features(clip), decoder_input_ids=said).logits[0, 0] for clip in waveforms)
        return [float(one.float().softmax(-1)[none]) for one in logits]

    @torch.inference_mode()
    def encoded(self, waveform: np.ndarray) -> np.ndarray:
        """What the encoder says of a clip, padded to 30 s: float32 `[1500, width]`."""
        return self._model.model.encoder(self._features(waveform)).last_hidden_state[0].float().cpu().numpy()

    @torch.inference_mode()
    def log_probabilities(self, waveform: np.ndarray, prompt: Sequence[int], text: Sequence[int]) -> np.ndarray:
        """float32 `[len(text)]`: each token's log-probability after the sound, the prompt and the tokens before it.

        Of text tokens alone, whose ids are below `<|endoftext|>`, as openai-whisper's and CTranslate2's alignments have it.
        """
        said = torch.tensor([[*prompt, *text]], device=self._device)
        logits = self._model(self._features(waveform), decoder_input_ids=said[:, :-1]).logits[0, len(prompt) - 1 :]
        logs = logits[:, : self._tokenizer.eos_token_id].float().log_softmax(-1)
        return logs.gather(1, said[0, len(prompt) :, None])[:, 0].cpu().numpy()

    def _features(self, waveform: np.ndarray) -> torch.Tensor:
        padded = torch.from_numpy(encoder_windows([waveform], self._filters, self._device))
        return padded.to(self._device, self._dtype)


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
        prompt = [self._token(f"<|{name}|>") for name in ("startoftranscript", language, "transcribe", "notimestamps")]
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
        for position in _longest_first(waveforms):
            yield position, self._transcribe(self._model, waveforms[position], language, temperature=0.0)

    def default(self, waveforms: Sequence[np.ndarray], language: str) -> Iterator[tuple[int, str]]:
        """faster-whisper's own defaults, the language given: timestamps, beam search, fallback to sampling."""
        for position in _longest_first(waveforms):
            yield position, self._transcribe(self._model, waveforms[position], language)

    def without_timestamps(self, waveforms: Sequence[np.ndarray], language: str) -> Iterator[tuple[int, str]]:
        """The defaults, but for `without_timestamps=True`."""
        for position in _longest_first(waveforms):
            yield position, self._transcribe(self._model, waveforms[position], language, without_timestamps=True)

    def batched(self, waveforms: Sequence[np.ndarray], language: str) -> Iterator[tuple[int, str]]:
        """As RealtimeSTT 1.1.2 calls faster-whisper: cut at silences, the pieces decoded together; for any length."""
        pipeline = faster_whisper.BatchedInferencePipeline(self._model)
        options = {"initial_prompt": None, "suppress_tokens": [-1], "vad_filter": True, "batch_size": REALTIME_BATCH}
        for position in _longest_first(waveforms):
            yield position, self._transcribe(pipeline, waveforms[position], language, **options)

    def _transcribe(self, model, waveform: np.ndarray, language: str, **options) -> str:
        self._token(f"<|{language}|>")
        segments, _ = model.transcribe(waveform, language=language, beam_size=self._beam_size, **options)
        return " ".join(segment.text.strip() for segment in segments)

    def _token(self, token: str) -> int:
        found = self._model.hf_tokenizer.token_to_id(token)
        if found is None:
            raise UserError(f"{self._folder}/tokenizer.json: the model does not know {token}")
        return found


class _RememberingWhisper(faster_whisper.WhisperModel):
    """faster-whisper's model, which encodes a window once, though it is decoded with timestamps and without.

    For a small model on a CPU the encoder is half of the work. What it says is kept up to `MOST_BYTES`.
    """

    MOST_BYTES = 256_000_000  # 330 windows of the sample's model, 33 of large-v3's

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self._encoded: dict[bytes, ctranslate2.StorageView] = {}
        self._bytes = 0

    def encode(self, features: np.ndarray) -> ctranslate2.StorageView:
        """`features`: float32 `[mels, 3000]`, or a batch of them."""
        key = hashlib.blake2b(features.tobytes()).digest()
        if key in self._encoded:
            return self._encoded[key]
        encoded = super().encode(features)
        size = 4 * int(np.prod(encoded.shape))
        if self._bytes + size <= self.MOST_BYTES:
            self._bytes += size
            self._encoded[key] = encoded
        return encoded


def _longest_first(waveforms: Sequence[np.ndarray]) -> list[int]:
    """What does not fit into memory fails at once, and the ETA errs on the safe side."""
    return sorted(range(len(waveforms)), key=lambda i: -len(waveforms[i]))


def clip_batches(waveforms: Sequence[np.ndarray], size: int) -> Iterator[list[int]]:
    """Clips of like length together: none waits for the many words of another."""
    order = _longest_first(waveforms)
    if order and len(waveforms[order[0]]) > WINDOW_SAMPLES:
        raise ValueError("a clip of over 30 s; only faster-whisper's own engines take it")
    for start in range(0, len(order), size):
        yield order[start : start + size]


def encoder_windows(clips: list[np.ndarray], filters: np.ndarray, device: str) -> np.ndarray:
    """float32 `[batch, mels, 3000]`."""
    return np.stack([compose([(log_mel, 0)], WINDOW_FRAMES) for log_mel in log_mels(clips, filters, device)])


def text_tokens(tokens: list[int], end: int, limit: int) -> list[int]:
    """What stands before the end; ids from the end on are control tokens and timestamps.

    Cut to the clip's own limit, so that a transcript does not depend on its neighbours in the batch.
    """
    if end in tokens:
        tokens = tokens[: tokens.index(end)]
    return [token for token in tokens[:limit] if token < end]
