"""Domains as tokens: `<|domain:NAME|>`, new rows of the vocabulary that the decoder reads after `<|startofprev|>`.

    ids = add_domain_tokens(model, tokenizer, ["dyslexic", "normal"])      # {"dyslexic": 51865, "normal": 51866}

New tokens stand above the timestamps, and openai-whisper, faster-whisper, transformers and whisper.cpp take every such id
for a time. So they are never generated, and a model that has them says so in its `lineage.json` and is not exported; a
domain named in the prompt needs no token and works everywhere.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer
from transformers import WhisperForConditionalGeneration, WhisperTokenizer

from asr.errors import UserError
from asr.vocabulary import TIMESTAMPS

NAME = re.compile(r"[\w-]+")


def domain_token(domain: str) -> str:
    return f"<|domain:{domain}|>"


def extend_tokenizer(tokenizer: WhisperTokenizer, domain: str) -> bool:
    """Add a domain's token, if it is not there already; whether it was added."""
    # Not special: transformers takes the last special token's id + 1 for <|0.00|>.
    return bool(tokenizer.add_tokens([AddedToken(domain_token(domain), normalized=False, special=False)]))


@torch.no_grad()
def add_domain_tokens(
    model: WhisperForConditionalGeneration, tokenizer: WhisperTokenizer, domains: Iterable[str]
) -> dict[str, int]:
    """A token for each domain at the end of tokenizer and embedding; what is there already stays. The ids by domain.

    A new row starts as the mean of the rows of the domain's own name. Input and output embedding stay tied.

    Raises:
        UserError: a domain's name is empty or has signs that a token cannot have.
    """
    ids = {}
    for domain in domains:
        if not NAME.fullmatch(domain):
            raise UserError(
                f"domain {domain!r}: a token's name has letters, digits, _ and - alone; rename it in prepare_audio.sources, "
                "or give domain.mode: prompt"
            )
        related = tokenizer.encode(" " + domain, add_special_tokens=False)
        if extend_tokenizer(tokenizer, domain):
            model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
            rows = model.get_input_embeddings().weight
            rows[-1] = rows[related].mean(0)
        ids[domain] = tokenizer.convert_tokens_to_ids(domain_token(domain))
    never_generate(model, ids.values())
    # No longer the model of that folder: peft would find it larger and save its whole embedding with every adapter.
    model.name_or_path = ""
    return ids


def never_generate(model: WhisperForConditionalGeneration, tokens: Iterable[int]) -> None:
    """`generate` gives these tokens no probability, not even as timestamps."""
    generation = model.generation_config
    generation.suppress_tokens = sorted({*(generation.suppress_tokens or ()), *tokens})


def domains_of(utterances, sources: Iterable[str]) -> list[str]:
    """The domains of a cache's utterances of these sources, sorted; those without one have none."""
    wanted = set(sources)
    pairs = zip(utterances["source"][:], utterances["domain"][:], strict=True)
    return sorted({domain for source, domain in pairs if source in wanted and domain})


def new_tokens_of(source: WhisperTokenizer | Path) -> list[str]:
    """The tokens above Whisper's own, in the order of their ids, of a tokenizer or of a folder with `tokenizer.json`."""
    if isinstance(source, (str, Path)):
        file = Path(source) / "tokenizer.json"
        ids = Tokenizer.from_file(str(file)).get_vocab(with_added_tokens=True) if file.is_file() else {}
    else:
        ids = source.get_vocab()
    last = ids.get(TIMESTAMPS[-1])
    return [] if last is None else sorted((token for token in ids if ids[token] > last), key=ids.__getitem__)


def domains_of_tokens(tokens: Iterable[str]) -> list[str]:
    """The domains that `<|domain:NAME|>` tokens stand for."""
    return [token.removeprefix("<|domain:").removesuffix("|>") for token in tokens]
