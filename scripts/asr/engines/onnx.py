"""ONNX folders, decoded by onnxruntime: greedy, with timestamps by Whisper's rules; no words."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from asr.decoding import max_tokens
from asr.engines import Decoding, chunk_seconds, require_saved_precision
from asr.engines.timestamps import decode_on, timestamp_rules
from asr.english import ENGLISH
from asr.errors import UserError
from asr.onnx_engine import Onnx as Graphs
from asr.segments import Segment
from asr.whisper_shape import LANGUAGES, MAX_PROMPT_TOKENS


class Onnx:
    """See `asr.engines.Engine`."""

    def __init__(self, folder: Path, decoding: Decoding):
        require_saved_precision(folder, decoding)
        if (decoding.beam_size or 1) > 1:
            raise UserError(f"--beam_size {decoding.beam_size}: an ONNX folder is decoded greedily; give 1 or nothing")
        if decoding.device == "cuda" and "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            raise UserError("--device cuda: this onnxruntime has no CUDA; install onnxruntime-gpu, or give cpu")
        self._task = decoding.task
        self._graphs = Graphs(folder, batch=1, threads=decoding.threads)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        codes = {code: self._tokenizer.token_to_id(f"<|{code}|>") for code in LANGUAGES}
        codes = {code: token for code, token in codes.items() if token is not None}
        self._codes = {} if self._graphs.english_alone else codes
        self.languages = frozenset(self._codes) or frozenset({ENGLISH})
        self.seconds = chunk_seconds(folder)

    def detect_language(self, waveform: np.ndarray) -> tuple[str, float]:
        if not self._codes:
            return ENGLISH, 1.0
        seen = []
        start = self._graphs.token("<|startoftranscript|>")
        self._graphs.tokens(waveform, [start], 1, lambda written, logits: seen.append(logits.astype(np.float64)))
        likely = np.exp((scores := seen[0][list(self._codes.values())]) - scores.max())
        best = int(likely.argmax())
        return list(self._codes)[best], float(likely[best] / likely.sum())

    def segments(self, waveform: np.ndarray, language: str, prompt: str = "", words: bool = False) -> Iterator[Segment]:
        given = [self._graphs.token("<|startoftranscript|>")]
        if self._codes:
            given += [self._codes[language], self._graphs.token(f"<|{self._task}|>")]
        if prompt:
            ids = self._tokenizer.encode(" " + prompt.strip(), add_special_tokens=False).ids[-MAX_PROMPT_TOKENS:]
            given = [self._graphs.token("<|startofprev|>"), *ids, *given]
        first_timestamp, end = self._graphs.token("<|0.00|>"), self._graphs.token("<|endoftext|>")

        def suppress(written: list[int], logits: np.ndarray) -> None:
            logits[self._graphs.never] = -np.inf
            if not written:
                logits[self._graphs.never_first] = -np.inf
            timestamp_rules(written, logits, first_timestamp, end)

        def decode(part: np.ndarray) -> tuple[list[int], None]:
            return self._graphs.tokens(part, given, max_tokens(len(part)), suppress), None

        for offset, stretch, _ in decode_on(waveform, decode, first_timestamp):
            yield Segment(offset + stretch.start, offset + stretch.end, self._tokenizer.decode(stretch.tokens))
