"""Whisper in onnxruntime, from the three graphs that `onnx_export` writes.

    engine = Onnx(Path("outputs/convert_to_onnx/float32"), batch=16)
    for position, text in engine.greedy(waveforms, "de"): ...

In: encoder_model.onnx, decoder_model.onnx, decoder_with_past_model.onnx, tokenizer.json, preprocessor_config.json,
generation_config.json; sound as float32 `[samples]` of at most 30 s at 16 kHz. It runs on the GPU where onnxruntime was
built for CUDA, else on the CPU, in the precision that was saved.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime import InferenceSession, OrtValue
from tokenizers import Tokenizer

from asr.decoding import clip_batches, encoder_windows, max_tokens, read_suppressed, text_tokens
from asr.english import knows_english_alone, prompt_names
from asr.errors import UserError
from asr.features import mel_filters
from asr.whisper_shape import MAX_TOKENS

REMEDY = "make the export again (scripts/convert_to_onnx.py)"

# Looks at what each row has written so far and sets logits [rows, vocabulary] to -inf where a token may not follow.
Filter = Callable[[list[list[int]], np.ndarray], None]


class Onnx:
    """A folder of ONNX graphs: `greedy` is its engine; the rest is what proofs and longer recordings are built on."""

    def __init__(self, folder: Path, batch: int, threads: int = 0):
        """Raises `UserError` naming the file that is missing or cannot be opened.

        Args:
            batch: clips that `greedy` decodes at once.
            threads: of the CPU; 0 is one a core.
        """
        self._folder, self._batch = Path(folder), batch
        self._tokenizer, self._filters = self._read()
        self.never, self.never_first = read_suppressed(self._folder / "generation_config.json")
        self.english_alone = knows_english_alone(self._folder)
        self._end: int = self.token("<|endoftext|>")
        self._device = "cuda" if "CUDAExecutionProvider" in onnxruntime.get_available_providers() else "cpu"
        names = ("encoder_model.onnx", "decoder_model.onnx", "decoder_with_past_model.onnx")
        self._encoder, self._decoder, self._with_past = (self._open(name, threads) for name in names)

    def _read(self) -> tuple[Tokenizer, np.ndarray]:
        names = ("tokenizer.json", "preprocessor_config.json", "generation_config.json")
        for name in names:
            if not (self._folder / name).is_file():
                raise UserError(f"{self._folder}: no {name}; {REMEDY}")
        try:
            return Tokenizer.from_file(str(self._folder / names[0])), mel_filters(self._folder)
        except Exception as error:  # the tokenizers library raises no narrower one
            raise UserError(f"{self._folder}: {names[0]}, {names[1]} cannot be read; {REMEDY}: {error}") from error

    def _open(self, name: str, threads: int) -> InferenceSession:
        if not (file := self._folder / name).is_file():
            raise UserError(f"{self._folder}: no {name}, so no Whisper in ONNX; {REMEDY}, or give another folder")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors; its warnings are about its own optimiser
        providers = ["CUDAExecutionProvider", "CPUExecutionProvider"][self._device == "cpu" :]
        try:
            return InferenceSession(file, options, providers=providers)
        except Exception as error:  # each of onnxruntime's errors derives from Exception alone
            raise UserError(f"{file}: onnxruntime cannot open it; {REMEDY}: {error}") from error

    def token(self, name: str) -> int:
        """The id of a token as it is written, e.g. `<|de|>`. Raises `UserError` if the model has none such."""
        found = self._tokenizer.token_to_id(name)
        if found is None:
            raise UserError(
                f"{self._folder}/tokenizer.json: the model does not know {name}; leave a language that it has no token for out"
            )
        return found

    def prompt(self, language: str) -> list[int]:
        """The ids before a transcript without timestamps. Raises `UserError` for a language it does not know."""
        return [self.token(name) for name in prompt_names(language, self.english_alone, self._folder)]

    def greedy(self, waveforms: Sequence[np.ndarray], language: str) -> Iterator[tuple[int, str]]:
        """Positions and transcripts, decoded as `transformers_engine.Transformers` does, from the same features."""
        prompt = self.prompt(language)
        for positions in clip_batches(waveforms, self._batch):
            clips = [waveforms[i] for i in positions]
            most = [max_tokens(len(clip)) for clip in clips]
            written = self._write(self._encode(clips), prompt, most, self._suppress)
            for position, tokens, limit in zip(positions, written, most, strict=True):
                yield position, self._tokenizer.decode(text_tokens(tokens, self._end, limit)).strip()

    def tokens(
        self,
        waveform: np.ndarray,
        prompt: Sequence[int],
        most: int,
        suppress: Callable[[list[int], np.ndarray], None] | None = None,
    ) -> list[int]:
        """Greedy tokens of one window, timestamps among them if the prompt allows them, without `<|endoftext|>`.

        Args:
            prompt: up to the last token that is given, as SOT, language, task.
            most: tokens to write; fewer where the decoder's 448 positions end.
            suppress: is shown the tokens so far and the logits of the next, float32 `[vocabulary]`, and sets to -inf
                what may not follow. None suppresses what generation_config.json lists.
        """
        most = min(most, MAX_TOKENS - len(prompt))
        choose = self._suppress if suppress is None else lambda written, logits: suppress(written[0], logits[0])
        (written,) = self._write(self._encode([waveform]), prompt, [most], choose)
        return written[: written.index(self._end)] if self._end in written else written

    def log_probabilities(self, waveform: np.ndarray, prompt: Sequence[int], text: Sequence[int]) -> np.ndarray:
        """float32 `[len(text)]`: of each text token, given the sound, the prompt and the tokens before it.

        The softmax is over the ids below `<|endoftext|>`, all text: control tokens and timestamps have no share.
        """
        if not text:
            return np.zeros(0, np.float32)
        ids = np.array([[*prompt, *text[:-1]]], dtype=np.int64)
        feeds = {"input_ids": self._value(ids), "encoder_hidden_states": self._encode([waveform])}
        logits = self._run(self._decoder, feeds)["logits"].numpy()[0, len(prompt) - 1 :, : self._end]
        logits = logits.astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        chosen = logits[np.arange(len(text)), list(text)]
        return (chosen - np.log(np.exp(logits).sum(axis=1))).astype(np.float32)

    def encoded(self, waveform: np.ndarray) -> np.ndarray:
        """What the encoder says of a clip, padded to 30 s: float32 `[1500, width]`."""
        return self._encode([waveform]).numpy()[0]

    def _encode(self, clips: list[np.ndarray]) -> OrtValue:
        feeds = {"input_features": self._value(encoder_windows(clips, self._filters, "cpu"))}
        return self._run(self._encoder, feeds)["last_hidden_state"]

    def _suppress(self, written: list[list[int]], logits: np.ndarray) -> None:
        logits[:, self.never] = -np.inf
        if not written[0]:
            logits[:, self.never_first] = -np.inf

    def _write(self, states: OrtValue, prompt: Sequence[int], most: Sequence[int], suppress: Filter) -> list[list[int]]:
        """The likeliest token after each, row by row, until every row has ended or has its `most` tokens."""
        written: list[list[int]] = [[] for _ in most]
        feeds = {"input_ids": self._value(np.array([list(prompt)] * len(most))), "encoder_hidden_states": states}
        outputs, past = self._run(self._decoder, feeds), {}
        for _ in range(max(most)):
            logits = outputs.pop("logits").numpy()[:, -1]  # [rows, vocabulary]
            suppress(written, logits)
            chosen = logits.argmax(axis=1)
            for row, token in zip(written, chosen.tolist(), strict=True):
                row.append(token)
            if all(self._end in row or len(row) >= limit for row, limit in zip(written, most, strict=True)):
                break
            # What was heard comes from the first run alone, what was said from the last.
            past |= {name.replace("present", "past_key_values"): value for name, value in outputs.items()}
            outputs = self._run(self._with_past, {"input_ids": self._value(chosen[:, None])} | past)
        return written

    def _value(self, array: np.ndarray) -> OrtValue:
        return OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array), self._device)

    def _run(self, session: InferenceSession, feeds: dict[str, OrtValue]) -> dict[str, OrtValue]:
        """All outputs by name, left on the device."""
        binding = session.io_binding()
        for name, value in feeds.items():
            binding.bind_ortvalue_input(name, value)
        names = [output.name for output in session.get_outputs()]
        for name in names:
            binding.bind_output(name, self._device)
        session.run_with_iobinding(binding)
        return dict(zip(names, binding.get_outputs(), strict=True))
