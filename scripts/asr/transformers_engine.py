"""The engine transformers: a plain Whisper, greedy, and what it thinks of a clip.

    engine = Transformers(Path("outputs/merge_lora"), batch=16)
    for position, text in engine(waveforms, "de"): ...

An engine as in `decoding.py`.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from asr.decoding import MOST_TOKENS, clip_batches, encoder_windows, max_tokens, text_tokens
from asr.english import complete_english, knows_english_alone, prompt_names
from asr.errors import UserError
from asr.features import mel_filters
from asr.labels import spoken
from asr.model import load_whisper


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
            raise UserError(f"{self._folder}: the model does not know the language {language!r}")
        return self._tokenizer.convert_tokens_to_ids(names)

    def tokens(self, text: str, language: str) -> list[int]:
        """A transcript's ids as the decoder is taught them, and no more than it may write."""
        return self._tokenizer.encode(spoken(text, language), add_special_tokens=False)[:MOST_TOKENS]

    @torch.inference_mode()
    def __call__(self, waveforms: Sequence[np.ndarray], language: str) -> Iterator[tuple[int, str]]:
        self.prompt(language)
        spoken_in = {} if self._english_alone else {"language": language, "task": "transcribe"}
        end = self._tokenizer.eos_token_id
        for positions in clip_batches(waveforms, self._batch):
            clips = [waveforms[i] for i in positions]
            features = torch.from_numpy(encoder_windows(clips, self._filters, self._device))
            written = self._model.generate(
                features.to(self._device, self._dtype),
                **spoken_in,
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
        start, after = self._tokenizer.convert_tokens_to_ids(["<|startoftranscript|>", "<|notimestamps|>"])
        none = after - 1  # older tokenizers call it <|nocaptions|>
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
