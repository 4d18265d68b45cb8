"""Plain Whispers, decoded by transformers, with timestamps; each piece is padded to 30 s as in training."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from transformers.models.whisper.tokenization_whisper import LANGUAGES as NAMES
from transformers.models.whisper.tokenization_whisper import _combine_tokens_into_words

from asr.decoding import max_tokens
from asr.engines import Decoding, chunk_seconds
from asr.engines.timestamps import Stretch, decode_on
from asr.english import ENGLISH, complete_english
from asr.errors import UserError
from asr.features import compose, log_mels, mel_filters
from asr.model import load_whisper
from asr.segments import Segment, Word
from asr.whisper_shape import MAX_PROMPT_TOKENS, MAX_TOKENS, SAMPLE_RATE, WINDOW_FRAMES

BEAM = 5  # openai-whisper's own default
CONTROL_TOKENS = 4  # <|startofprev|> <|startoftranscript|> language, task
TYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class Transformers:
    """See `asr.engines.Engine`."""

    def __init__(self, folder: Path, decoding: Decoding):
        self._decoding = decoding
        if decoding.device == "cuda" and not torch.cuda.is_available():
            raise UserError("--device cuda: PyTorch finds no GPU here; give cpu")
        self._device = "cuda" if decoding.device != "cpu" and torch.cuda.is_available() else "cpu"
        default = "float32" if self._device == "cpu" else "float16"
        name = default if decoding.compute_type == "default" else decoding.compute_type
        if name not in TYPES:
            raise UserError(
                f"--compute_type {name}: transformers computes in {', '.join(TYPES)}; convert the model for the others"
            )
        if self._device == "cpu":
            torch.set_num_threads(decoding.threads)
        self._type = TYPES[name]
        self._model, self._tokenizer, _ = load_whisper(folder, dtype=self._type)
        complete_english(self._model, self._tokenizer)
        self._model.to(self._device).eval()
        self._filters = mel_filters(folder)
        self.seconds = chunk_seconds(folder)
        codes = getattr(self._model.generation_config, "lang_to_id", None) or {}  # none: an English model
        self._multilingual = bool(codes)
        self.languages = frozenset(code.strip("<|>") for code in codes) or frozenset({ENGLISH})
        special = ("<|startoftranscript|>", "<|startofprev|>", "<|endoftext|>", "<|0.00|>")
        self._start, self._previous, self._end, self._first_timestamp = self._tokenizer.convert_tokens_to_ids(special)

    @torch.inference_mode()
    def detect_language(self, waveform: np.ndarray) -> tuple[str, float]:
        if not self._multilingual:
            return ENGLISH, 1.0
        start = torch.tensor([[self._model.generation_config.decoder_start_token_id]], device=self._device)
        logits = self._model(input_features=self._features(waveform), decoder_input_ids=start).logits[0, -1].float()
        codes = list(self._model.generation_config.lang_to_id.items())
        likely = logits[[index for _, index in codes]].softmax(0)
        best = int(likely.argmax())
        return codes[best][0].strip("<|>"), float(likely[best])

    def segments(self, waveform: np.ndarray, language: str, prompt: str = "", words: bool = False) -> Iterator[Segment]:
        for offset, stretch, times in decode_on(
            waveform, lambda part: self._decode(part, language, prompt, words), self._first_timestamp
        ):
            text = self._tokenizer.decode(stretch.tokens)
            heard = tuple(self._words(stretch, times, offset, language)) if words else None
            yield Segment(offset + stretch.start, offset + stretch.end, text, heard)

    def _features(self, waveform: np.ndarray) -> torch.Tensor:
        """`[1, mels, 3000]`."""
        window = compose([(log_mels([waveform], self._filters, self._device)[0], 0)], WINDOW_FRAMES)
        return torch.from_numpy(window)[None].to(self._device, self._type)

    @torch.inference_mode()
    def _decode(
        self, waveform: np.ndarray, language: str, prompt: str, words: bool
    ) -> tuple[list[int], list[float] | None]:
        """Text tokens and timestamps, and for words when each begins (seconds)."""
        given, most = {}, max_tokens(len(waveform))
        if self._multilingual:
            given |= {"language": language, "task": self._decoding.task}
        if prompt:
            ids = self._tokenizer.encode(" " + prompt.strip(), add_special_tokens=False)[-MAX_PROMPT_TOKENS:]
            most = min(most, MAX_TOKENS - len(ids) - CONTROL_TOKENS)
            given["prompt_ids"] = torch.tensor([self._previous, *ids], device=self._device)
        if words:
            # Whisper's `generate` aligns as far as the attention mask reaches.
            frames = torch.zeros(1, WINDOW_FRAMES, dtype=torch.long, device=self._device)
            frames[:, : max(2, len(waveform) * 100 // SAMPLE_RATE)] = 1
            given |= {"return_token_timestamps": True, "attention_mask": frames}
        written = self._model.generate(
            self._features(waveform),
            return_timestamps=True,
            num_beams=self._decoding.beam_size or BEAM,
            do_sample=False,
            max_new_tokens=most,
            force_unique_generate_call=True,  # what is left open is decoded again by `decode_on`, which pads it anew
            **given,
        )
        sequence = (written["sequences"] if words else written)[0].tolist()
        # Prompt and control tokens are given back too, and what fills a batch up to its longest row.
        begin = sequence.index(self._start) + (3 if self._multilingual else 1)
        end = sequence.index(self._end, begin) if self._end in sequence[begin:] else len(sequence)
        return sequence[begin:end], written["token_timestamps"][0].tolist()[begin:end] if words else None

    def _words(self, stretch: Stretch, times: list[float], offset: float, language: str) -> Iterator[Word]:
        words, _, places = _combine_tokens_into_words(self._tokenizer, stretch.tokens, NAMES.get(language))
        begins = [offset + time for time in times[stretch.first : stretch.first + len(stretch.tokens)]]
        begins.append(offset + stretch.end)
        for word, among in zip(words, places, strict=True):
            if word.strip():
                yield Word(begins[among[0]], begins[among[-1] + 1], word.strip())
