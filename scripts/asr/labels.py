"""What the decoder is taught: the one place that turns a window's text into the tokens it reads and must predict.

    [<|startofprev|> [<|domain:x|>] prompt…] <|startoftranscript|> <|de|> <|transcribe|> [<|notimestamps|>] text… <|endoftext|>

In: the segments of a window. Out: `decoder_input_ids` (what the decoder reads) and `labels` (what it must say next at
each position, -100 where nothing is asked of it), and about when each label is said. They are made here side by side,
so that no collator has to shift, strip or guess, and there is exactly one `<|startoftranscript|>`.

Source of the format: openai-whisper's `tokenizer.py` and `decoding.py`; arXiv 2212.04356, section 2.3.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from tokenizers import Tokenizer

from asr.errors import UserError
from asr.text import SPACELESS
from asr.utterance import Segment, written_in
from asr.whisper_shape import ENGLISH_VOCABULARY_SIZE, MAX_PROMPT_TOKENS, MAX_TIMESTAMP, MAX_TOKENS, TIMESTAMP_SECONDS

IGNORED = -100  # no loss at this position


@dataclass(frozen=True)
class Prompt:
    """What stands after `<|startofprev|>`, in this order: the decoder reads it and is asked nothing about it.

    What is said of the recording beforehand stays whole, as a runtime's `initial_prompt` does; of the previous text as much
    is kept, its end, as there is room for (`openai-whisper`, `DecodingTask._get_initial_tokens`).
    """

    domain: str = ""  # a token of its own, <|domain:x|>
    about: tuple[str, ...] = ()  # the domain as text, words that may come
    previous: tuple[str, ...] = ()  # what was said just before

    def __bool__(self) -> bool:
        return bool(self.domain or self.about or self.previous)


NO_PROMPT = Prompt()


@dataclass(frozen=True)
class LabelSequence:
    """Lists of equal length, at most `MAX_TOKENS`."""

    decoder_input_ids: list[int]
    labels: list[int]
    seconds: list[float]  # from the window's start: about when the label is said; NaN for what nobody says


class Labeler:
    """Label sequences for one tokenizer.

    Args:
        tokenizer: a Whisper tokenizer of transformers.

    Raises:
        UserError: it is that of a model which knows English alone.
    """

    def __init__(self, tokenizer):
        if len(tokenizer) == ENGLISH_VOCABULARY_SIZE:
            raise UserError(
                "base_model: the model knows English alone and has never read the language and the task that labels begin "
                "with; start from a multilingual one, as openai/whisper-small instead of whisper-small.en"
            )
        self._text = plain_tokenizer(tokenizer.backend_tokenizer.to_str())
        self._id = tokenizer.convert_tokens_to_ids
        self._token = tokenizer.convert_ids_to_tokens
        self.start = self._id("<|startoftranscript|>")
        self.end = self._id("<|endoftext|>")
        self.translate, self.transcribe = self._id("<|translate|>"), self._id("<|transcribe|>")
        self.previous = self._id("<|startofprev|>")
        self.no_timestamps = self._id("<|notimestamps|>")
        self.no_speech = self.no_timestamps - 1  # <|nospeech|>, called <|nocaptions|> in the older tokenizers
        self.timestamp_begin = self._id("<|0.00|>")
        self.last_control = self.timestamp_begin + MAX_TIMESTAMP  # what comes after it somebody has added

    def language(self, code: str) -> int:
        """The token of a language code.

        Raises:
            ValueError: Whisper does not know the language.
        """
        token = self._id(f"<|{code}|>")
        if not self.start < token < self.translate:
            raise ValueError(f"language {code!r} is not one of Whisper's; give a code such as 'de'")
        return token

    def language_of(self, token: int) -> str:
        """The code of a language's token, the inverse of `language`."""
        return self._token(token).strip("<|>")

    def name(self, token: int) -> str:
        """How a token is written in the vocabulary, as `<|de|>`."""
        return self._token(token)

    def text(self, text: str, language: str) -> list[int]:
        """A text's tokens, with the leading space that Whisper writes, and never a control token."""
        return self._text.encode(spoken(text, language), add_special_tokens=False).ids

    def count(self, texts: Sequence[str], language: str) -> list[int]:
        """How many tokens each text has."""
        written = [spoken(text, language) for text in texts]
        return [len(e.ids) for e in self._text.encode_batch_fast(written, add_special_tokens=False)]

    def timestamp(self, seconds: float) -> int:
        """The token of a time in the window, on the grid, never after it (so that an end stays inside the audio)."""
        return self.timestamp_begin + min(max(int(seconds / TIMESTAMP_SECONDS + 1e-6), 0), MAX_TIMESTAMP)

    def domain(self, name: str) -> int:
        """The token of a domain.

        Raises:
            ValueError: the tokenizer has none of that name.
        """
        token = self._id(f"<|domain:{name}|>")
        if token is None or self._token(token) != f"<|domain:{name}|>":
            raise ValueError(
                f"the tokenizer has no token <|domain:{name}|>; train with domain.mode: token from the start"
            )
        return token

    def prompt(self, prompt: Prompt, language: str, room: int = MAX_TOKENS) -> list[int]:
        """The tokens of a prompt, `<|startofprev|>` first; none where there is no prompt, or no room for it.

        Args:
            room: tokens that it may have; never more than half of the decoder, as in every runtime.

        Raises:
            ValueError: what stays whole does not fit into a prompt's half of the decoder.
        """
        fixed = [self.domain(prompt.domain)] if prompt.domain else []
        fixed += [token for text in prompt.about for token in self.text(text, language)]
        if len(fixed) > MAX_PROMPT_TOKENS:
            raise ValueError(
                f"a prompt of {len(fixed)} tokens, at most {MAX_PROMPT_TOKENS}, half of the decoder: {prompt.about}"
            )
        said = [token for text in prompt.previous for token in self.text(text, language)]
        room = min(room - 1, MAX_PROMPT_TOKENS)
        if len(fixed) > room:
            return []
        said = said[max(len(said) - (room - len(fixed)), 0) :]
        return [self.previous, *fixed, *said] if fixed or said else []

    def encode(
        self,
        segments: Sequence[Segment],
        language: str,
        *,
        timestamps: bool,
        task: str = "transcribe",
        prompt: Prompt = NO_PROMPT,
        cut_off: float | None = None,
    ) -> LabelSequence:
        """The label sequence of a window.

        Args:
            segments: what is said, in order, times in seconds from the window's start; empty when nobody speaks.
            language: Whisper's code of what is spoken.
            timestamps: teach `<|start|> text<|end|>` a segment, else `<|notimestamps|>` and the texts alone.
            task: "transcribe", or "translate": the texts are English, whatever is spoken.
            prompt: what the decoder reads before; as much of it as there is room for.
            cut_off: when a segment begins that the window's end cuts off: with timestamps its start is taught, so that a
                runtime's next window begins there, and nothing of its text (arXiv 2212.04356, section 2.3).

        Raises:
            ValueError: the sequence is longer than the decoder, the language unknown, or the times run backwards.
        """
        written = written_in(language, task)
        # Runtimes read the probability of <|nospeech|> at the position of <|startoftranscript|>.
        if not any(segment.text.strip() for segment in segments):
            control, said = [self.no_speech], []
        else:
            control = [self.language(language), self._id(f"<|{task}|>")]
            if not timestamps:
                control.append(self.no_timestamps)
            said = self._timed(segments, written, cut_off) if timestamps else self._untimed(segments, written)
        taught = [*control, *(token for token, _ in said), self.end]
        if len(taught) > MAX_TOKENS:
            raise ValueError(f"{len(taught)} tokens do not fit into the decoder's {MAX_TOKENS}: {segments[0].text!r}…")
        head = self.prompt(prompt, written, room=MAX_TOKENS - len(taught)) if prompt else []
        tokens = [*head, self.start, *taught]
        labels = [IGNORED] * len(head) + taught
        untimed = [math.nan] * (len(head) + len(control))
        seconds = [*untimed, *(second for _, second in said), math.nan]
        return LabelSequence(decoder_input_ids=tokens[:-1], labels=labels, seconds=seconds)

    def _untimed(self, segments: Sequence[Segment], language: str) -> list[tuple[int, float]]:
        # Encoded segment by segment, as Whisper's own transcripts are, so that a text has the same tokens in both forms.
        return [said for segment in segments for said in self._spread(segment, language)]

    def _timed(self, segments: Sequence[Segment], language: str, cut_off: float | None) -> list[tuple[int, float]]:
        tokens, last = [], self.timestamp_begin
        for segment in segments:
            start, end = self.timestamp(segment.start), self.timestamp(segment.end)
            if not last <= start <= end:
                raise ValueError(f"segment times run backwards at {segment.start:.2f} s: {segment.text!r}")
            tokens += [(start, segment.start), *self._spread(segment, language), (end, segment.end)]
            last = end
        if cut_off is not None:
            if self.timestamp(cut_off) < last:
                raise ValueError(f"a segment begins at {cut_off:.2f} s, before the last one ends")
            tokens.append((self.timestamp(cut_off), cut_off))
        return tokens

    def _spread(self, segment: Segment, language: str) -> list[tuple[int, float]]:
        """A segment's tokens, each with its middle if every byte of the text took as long to say as any other."""
        tokens = self.text(segment.text, language)
        ends = list(accumulate(len(self._text.id_to_token(token)) for token in tokens))  # one sign a byte
        pace = (segment.end - segment.start) / ends[-1] if ends else 0.0
        return [
            (token, segment.start + pace * (before + end) / 2)
            for token, before, end in zip(tokens, [0, *ends], ends, strict=False)
        ]

    def decode(self, labels: Sequence[int]) -> str:
        """The text that label ids stand for: neither control tokens nor timestamps."""
        return self._text.decode([t for t in labels if 0 <= t < self.end], skip_special_tokens=False).strip()


def spoken(text: str, language: str) -> str:
    """A text as Whisper writes it: after a space, but in some languages; of nothing, nothing."""
    text = text.strip()
    return text if language in SPACELESS or not text else " " + text


def plain_tokenizer(tokenizer_json: str) -> Tokenizer:
    """The same byte pairs and ids, but no `<|…|>`: a transcript that contains such a sign stays ordinary text."""
    parts = json.loads(tokenizer_json)
    return Tokenizer.from_str(json.dumps(parts | {"added_tokens": [], "post_processor": None, "truncation": None}))
