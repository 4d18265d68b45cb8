"""The engine transformers: a plain Whisper, greedy, and what it thinks of a clip.

    engine = Transformers(Path("outputs/merge_lora"), batch=16)
    for position, text in engine(waveforms, "de"): ...

An engine as in `decoding.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from asr.decoding import MOST_TOKENS, clip_batches, encoder_windows, max_tokens, text_tokens
from asr.english import complete_english, knows_english_alone, prompt_names
from asr.errors import UserError
from asr.features import mel_filters
from asr.forgetting import has_valid_timestamps
from asr.labels import spoken
from asr.model import load_whisper


@dataclass(frozen=True)
class Start:
    """The likeliest language of a clip, and how probable it is that nobody speaks in it."""

    language: str
    no_speech: float


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
        complete_english(self._model, self._tokenizer)
        self._english_alone = knows_english_alone(folder)
        self._model.to(self._device).eval()
        self._filters = mel_filters(folder)

    def prompt(self, language: str) -> list[int]:
        """The ids before a transcript without timestamps. Raises `UserError` for a language that the model does not know."""
        names = prompt_names(language, self._english_alone, self._folder)
        known = getattr(self._model.generation_config, "lang_to_id", None) or {}
        if not self._english_alone and f"<|{language}|>" not in known:
            raise UserError(
                f"{self._folder}: the model does not know the language {language!r}; leave what is in it out, or take a model that does"
            )
        return self._tokenizer.convert_tokens_to_ids(names)

    def tokens(self, text: str, language: str) -> list[int]:
        """A transcript's ids as the decoder is taught them, and no more than it may write."""
        return self._tokenizer.encode(spoken(text, language), add_special_tokens=False)[:MOST_TOKENS]

    @torch.inference_mode()
    def __call__(self, waveforms: Sequence[np.ndarray], language: str) -> Iterator[tuple[int, str]]:
        self.prompt(language)
        end = self._tokenizer.eos_token_id
        for positions in clip_batches(waveforms, self._batch):
            clips = [waveforms[i] for i in positions]
            written = self._model.generate(
                self._features(*clips),
                **self._spoken_in(language),
                return_timestamps=False,
                num_beams=1,
                do_sample=False,
                max_new_tokens=max_tokens(len(clips[0])),
            )
            for position, clip, tokens in zip(positions, clips, written.tolist(), strict=True):
                yield position, self._tokenizer.decode(text_tokens(tokens, end, max_tokens(len(clip)))).strip()

    greedy = __call__

    @torch.inference_mode()
    def starts(self, waveforms: Sequence[np.ndarray]) -> Iterator[tuple[int, Start]]:
        """What the decoder would say first of each clip, where runtimes read it: after `<|startoftranscript|>`."""
        start, after = self._tokenizer.convert_tokens_to_ids(["<|startoftranscript|>", "<|notimestamps|>"])
        none = after - 1  # <|nospeech|>, which older tokenizers call <|nocaptions|>
        codes = {"<|en|>": start} if self._english_alone else self._model.generation_config.lang_to_id
        names, ids = [code.strip("<|>") for code in codes], list(codes.values())
        for positions in clip_batches(waveforms, self._batch):
            said = torch.full((len(positions), 1), start, device=self._device)
            features = self._features(*(waveforms[i] for i in positions))
            logits = self._model(features, decoder_input_ids=said).logits[:, 0].float()
            likeliest, silent = logits[:, ids].argmax(-1).tolist(), logits.softmax(-1)[:, none].tolist()
            for position, language, probability in zip(positions, likeliest, silent, strict=True):
                yield position, Start(names[language], probability)

    @torch.inference_mode()
    def with_timestamps(self, waveforms: Sequence[np.ndarray], language: str) -> Iterator[tuple[int, list[int]]]:
        """Greedy tokens with timestamps, by Whisper's rules for them, without the prompt and `<|endoftext|>`."""
        end, prompt = self._tokenizer.eos_token_id, self.prompt(language)[:-1]
        for positions in clip_batches(waveforms, self._batch):
            written = self._model.generate(
                self._features(*(waveforms[i] for i in positions)),
                **self._spoken_in(language),
                return_timestamps=True,
                num_beams=1,
                do_sample=False,
                max_new_tokens=max_tokens(len(waveforms[positions[0]])),
                force_unique_generate_call=True,  # what is left open is not decoded again
            )
            for position, tokens in zip(positions, written.tolist(), strict=True):
                begin = tokens.index(prompt[-1]) + 1
                tokens = tokens[begin : begin + max_tokens(len(waveforms[position]))]
                yield position, tokens[: tokens.index(end)] if end in tokens else tokens

    def has_valid_timestamps(self, tokens: Sequence[int], seconds: float) -> bool:
        """See `forgetting.has_valid_timestamps`; of a clip of so many seconds."""
        return has_valid_timestamps(tokens, self._tokenizer.convert_tokens_to_ids("<|0.00|>"), seconds)

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

    def _spoken_in(self, language: str) -> dict[str, str]:
        """What `generate` is told of it; a model that knows English alone has no token for it."""
        return {} if self._english_alone else {"language": language, "task": "transcribe"}

    def _features(self, *waveforms: np.ndarray) -> torch.Tensor:
        padded = torch.from_numpy(encoder_windows(list(waveforms), self._filters, self._device))
        return padded.to(self._device, self._dtype)
