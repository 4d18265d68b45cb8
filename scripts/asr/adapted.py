"""A model made ready for adaptation: frozen but for an adapter, its last blocks or its domains' tokens.

    trained, save, added = adapt(model, tokenizer, cache, sources=["domain"], adapter={...}, tokens=False, steps=360, seed=0)

In: a Whisper, the utterances that it will be trained on, `adapter`'s parameters by name. Out: what is to be trained, how what
was trained is written into a folder, and the tokens that the vocabulary has got for it.
"""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from torch import nn
from transformers import WhisperForConditionalGeneration, WhisperTokenizer

from asr.adapter import RankSchedule, add_adapter, save_adapter
from asr.chosen_layers import save_layers
from asr.domain_tokens import add_domain_tokens, domains_of, new_tokens_of
from asr.features import FeatureCache
from asr.labels import Labeler
from asr.selection import tokens_of
from asr.trainable import train_part

BLOCKS = ("encoder_blocks", "decoder_blocks")


def adapt(
    model: WhisperForConditionalGeneration,
    tokenizer: WhisperTokenizer,
    cache: FeatureCache,
    sources: Iterable[str],
    adapter: dict,
    tokens: bool,
    steps: int,
    seed: int,
) -> tuple[nn.Module, Callable[[Path], None], list[str]]:
    """What `finetune_whisper` trains.

    Args:
        adapter: `params.Adapter` by name; how the base is held (`quantize`) has been seen to when it was loaded.
        tokens: whether the sources' domains are told by tokens of their own, which are then trained too.
        steps: of the training; AdaLoRA spreads what it takes away over them.

    Raises:
        UserError: the model has no such modules, or fewer blocks.
    """
    known = new_tokens_of(tokenizer)
    rows = tokens_of(cache, sources, Labeler(tokenizer)) if adapter["token_rows"] else []
    if tokens:
        rows += add_domain_tokens(model, tokenizer, domains_of(cache.utterances, sources)).values()
    added = [token for token in new_tokens_of(tokenizer) if token not in known]
    if adapter["method"] == "layers":
        blocks = {name: adapter[name] for name in BLOCKS}
        train_part(model, "last_blocks", **blocks, token_rows=rows)
        return model, partial(save_layers, model, **blocks), added
    chosen = {name: value for name, value in adapter.items() if name not in ("quantize", "adalora")}
    ranks = RankSchedule(steps, **adapter["adalora"])
    trained = add_adapter(model, **chosen | {"token_rows": rows}, ranks=ranks, seed=seed)
    return trained, partial(save_adapter, trained), added
