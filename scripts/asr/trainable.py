"""Which weights of a Whisper are trained: all, all but the encoder's, or those of the last blocks.

    train_part(model, "last_blocks", encoder_blocks=4, decoder_blocks=4)

The others get no gradient and are no part of the optimiser, so that they stay as they are, bit for bit. Of the encoder's
last blocks everything is trained; of the decoder's the attention and the MLP, not their layer norms, as in the Korean
guide. The embedding, the convolutions, the positions and both final layer norms stay.
"""

import functools
from collections.abc import Iterable

import torch
from torch import nn
from transformers import WhisperForConditionalGeneration

from asr.errors import UserError

DECODER_PARTS = ("self_attn", "encoder_attn", "fc1", "fc2")


def train_part(
    model: WhisperForConditionalGeneration,
    what: str,
    encoder_blocks: int = 0,
    decoder_blocks: int = 0,
    token_rows: Iterable[int] = (),
) -> None:
    """Freeze what is not trained.

    Args:
        what: "all", "encoder_frozen" or "last_blocks".
        encoder_blocks, decoder_blocks: how many of the last blocks "last_blocks" trains.
        token_rows: tokens whose rows of the embedding are trained as well, where the embedding is not.

    Raises:
        UserError: the model has fewer blocks.
    """
    if what == "all":
        return
    encoder = model.model.encoder
    if what == "encoder_frozen":
        encoder.requires_grad_(False)
    else:
        modules = last_blocks(model, encoder_blocks, decoder_blocks)
        model.requires_grad_(False)
        for module in modules:
            module.requires_grad_(True)
        train_rows(model.model.decoder.embed_tokens, token_rows)
    if not any(parameter.requires_grad for parameter in encoder.parameters()):
        # Nothing of it is kept for a backward pass that never comes.
        encoder.forward = _without_gradient(encoder.forward)


def last_blocks(model: WhisperForConditionalGeneration, encoder_blocks: int, decoder_blocks: int) -> list[nn.Module]:
    """The modules of the last blocks that are trained.

    Raises:
        UserError: the model has fewer blocks.
    """
    blocks = {"encoder": encoder_blocks, "decoder": decoder_blocks}
    layers = {part: last_layers(model, part, count) for part, count in blocks.items()}
    decoder = [getattr(layer, part) for layer in layers["decoder"] for part in DECODER_PARTS]
    return [*layers["encoder"], *decoder]


def last_layers(model: WhisperForConditionalGeneration, part: str, count: int) -> list[nn.Module]:
    """The last `count` layers of "encoder" or "decoder".

    Raises:
        UserError: there are fewer.
    """
    layers = getattr(model.model, part).layers
    if count > len(layers):
        raise UserError(f"{part}_blocks: {count}: the model has {len(layers)}; give at most as many")
    return list(layers[len(layers) - count :])


def train_rows(embedding: nn.Embedding, rows: Iterable[int]) -> None:
    """Train only these rows of an embedding; without any, none of it.

    The others get a gradient of zero, and no weight decay if the embedding is left out of it (`optimizer.py`).
    """
    rows = list(rows)
    if not rows:
        return
    mask = torch.zeros(embedding.num_embeddings, 1)
    mask[rows] = 1.0
    embedding.weight.requires_grad_(True)
    embedding.weight.trained_rows = rows
    embedding.weight.register_hook(lambda gradient: gradient * mask.to(gradient))


def trained_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """What is trained, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def _without_gradient(forward):
    @functools.wraps(forward)  # `generate` reads the signature
    def frozen(*args, **kwargs):
        with torch.no_grad():
            return forward(*args, **kwargs)

    return frozen
