"""Whisper's multilingual vocabulary as a transformers tokenizer, made from the file that openai-whisper ships, and its roles.

    tokenizer = whisper_tokenizer(mels=80)      # 51,865 tokens, <|0.00|> ... <|30.00|> among them
    tokenizer.encode("Grüß Gott!", add_special_tokens=False)

Nothing is downloaded. A tokenizer without the 1,501 timestamps would give every later token another id.
"""

import base64
import functools
import importlib.util
import json
import re
from itertools import pairwise
from pathlib import Path

from tokenizers import AddedToken
from transformers import GenerationConfig, PreTrainedTokenizerBase, WhisperTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from asr.whisper_shape import LANGUAGES, MAX_TIMESTAMP, MAX_TOKENS, TIMESTAMP_SECONDS, VOCABULARY_SIZES

EMPTY_RANK = 50256  # the file's last rank is the empty string: a token that no text ever contains
TIMESTAMPS = [f"<|{step * TIMESTAMP_SECONDS:.2f}|>" for step in range(MAX_TIMESTAMP + 1)]  # 0 to 30 s


def languages(mels: int) -> list[str]:
    """Codes of Whisper's languages in the order of their ids: 99 of them, and Cantonese too for 128 mels (large-v3)."""
    return list(LANGUAGES if mels == 128 else LANGUAGES[:-1])


def whisper_tokenizer(mels: int) -> WhisperTokenizer:
    """The full multilingual tokenizer of Whispers with that many mel bins: 51,865 tokens for 80, 51,866 for 128."""
    vocabulary, merges = _vocabulary_and_merges()
    control = ["startoftranscript", *languages(mels), "translate", "transcribe"]
    control += ["startoflm", "startofprev", "nospeech", "notimestamps"]
    tokenizer = WhisperTokenizer(
        vocab=dict(vocabulary),
        merges=list(merges),
        pad_token="<|endoftext|>",
        extra_special_tokens=[f"<|{name}|>" for name in control],
        model_max_length=1024,
    )
    # Not special: decoding takes the last special token's id + 1 for <|0.00|>.
    add_timestamps(tokenizer)
    assert len(tokenizer) == VOCABULARY_SIZES[mels]
    return tokenizer


def add_timestamps(tokenizer: WhisperTokenizer) -> None:
    """Append `<|0.00|>` ... `<|30.00|>`, which tokenizers saved by older tools lack."""
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=False) for token in TIMESTAMPS])


def non_speech_tokens(tokenizer: WhisperTokenizer) -> list[int]:
    """Ids of brackets, notes and other signs that nobody speaks, as `whisper.tokenizer.non_speech_tokens` lists them."""
    signs = [*'"#()*+/:;<=>@[\\]^_`{|}~「」『』']
    signs += re.findall(r"\S+", "<< >> <<< >>> -- --- -( -[ (' (\" (( )) ((( ))) [[ ]] {{ }} ♪♪ ♪♪♪")
    notes = [*"♩♪♫♬♭♮♯"]  # of several tokens each; the first one stands for U+2640 to U+267F alone

    def encode(text: str) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=False)

    found = {encode(" -")[0], encode(" '")[0]}  # allowed inside a word, not at its beginning
    for sign in signs + notes:
        for tokens in (encode(sign), encode(" " + sign)):
            if len(tokens) == 1 or sign in notes:
                found.add(tokens[0])
    return sorted(found)


def generation_config(tokenizer: PreTrainedTokenizerBase, decoder_layers: int, heads: int) -> GenerationConfig:
    """What generation needs to know of a multilingual Whisper: ids of languages and tasks, and what is suppressed.

    The alignment heads, by which words get their times, are all heads of the last half of the decoder's layers:
    openai-whisper's rule for a model whose heads nobody has measured.
    """
    ids = tokenizer.get_vocab()
    codes = [f"<|{code}|>" for code in LANGUAGES if f"<|{code}|>" in ids]
    tasks = {name: ids[f"<|{name}|>"] for name in ("translate", "transcribe")}
    silent = ids.get("<|nospeech|>", ids.get("<|nocaptions|>"))  # older tokenizers call it so
    never = [ids["<|startoftranscript|>"], *tasks.values(), ids["<|startoflm|>"], ids["<|startofprev|>"], silent]
    return GenerationConfig(
        bos_token_id=ids["<|endoftext|>"],
        eos_token_id=ids["<|endoftext|>"],
        pad_token_id=ids["<|endoftext|>"],
        decoder_start_token_id=ids["<|startoftranscript|>"],
        prev_sot_token_id=ids["<|startofprev|>"],
        no_timestamps_token_id=ids["<|notimestamps|>"],
        is_multilingual=True,
        lang_to_id={code: ids[code] for code in codes},
        task_to_id=tasks,
        suppress_tokens=sorted(non_speech_tokens(tokenizer) + never),
        begin_suppress_tokens=[*tokenizer.encode(" ", add_special_tokens=False), ids["<|endoftext|>"]],
        alignment_heads=[
            [layer, head] for layer in range(decoder_layers // 2, decoder_layers) for head in range(heads)
        ],
        max_initial_timestamp_index=50,  # the first timestamp is at most 1 s, as in openai-whisper
        max_length=MAX_TOKENS,
        return_timestamps=False,
    )


@functools.cache  # seconds of work, the same for each tokenizer
def _vocabulary_and_merges() -> tuple[dict[str, int], list[tuple[str, str]]]:
    ranks = _ranks()
    letters = bytes_to_unicode()

    def spell(token: bytes) -> str:
        return "".join(letters[byte] for byte in token)

    vocabulary = {spell(token): rank for token, rank in ranks.items()}
    vocabulary |= {"": EMPTY_RANK, "<|endoftext|>": EMPTY_RANK + 1}
    return vocabulary, [tuple(map(spell, _parts(ranks, token))) for token in ranks if len(token) > 1]


def english_spelling() -> dict[str, str]:
    """British spellings and the American ones that Whisper's English normaliser makes of them."""
    return json.loads((_whisper_package() / "normalizers" / "english.json").read_text(encoding="utf-8"))


def _whisper_package() -> Path:
    package = importlib.util.find_spec("whisper")  # found, not imported: importing it takes seconds
    assert package is not None and package.origin is not None, "openai-whisper is in requirements_training.txt"
    return Path(package.origin).parent


def _ranks() -> dict[bytes, int]:
    lines = (_whisper_package() / "assets" / "multilingual.tiktoken").read_text().splitlines()
    pairs = (line.split() for line in lines if not line.startswith("="))  # "=" is the empty string in base64
    return {base64.b64decode(token): int(rank) for token, rank in pairs}


def _parts(ranks: dict[bytes, int], token: bytes) -> tuple[bytes, bytes]:
    """The two tokens that `token` is merged from: byte pair encoding with the ranks below its own."""
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 2:
        pairs = [ranks.get(left + right, len(ranks)) for left, right in pairwise(parts)]
        first = min(range(len(pairs)), key=pairs.__getitem__)
        parts[first : first + 2] = [parts[first] + parts[first + 1]]
    return parts[0], parts[1]
