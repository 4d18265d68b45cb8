"""The last blocks of a Whisper as an adapter: trained themselves, delivered alone, put back into their base.

<folder>/layers.safetensors      the trained weights by their names in the model; of the embedding `rows` and their ids
<folder>/layers.json             {"encoder_blocks": 4, "decoder_blocks": 4}
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch.func import functional_call
from transformers import WhisperForConditionalGeneration

from asr.adapter import prove
from asr.errors import UserError
from asr.trainable import trained_weights

WEIGHTS, ABOUT = "layers.safetensors", "layers.json"
ROWS, IDS = "rows", "row_ids"  # of the embedding, which is otherwise the base's
EMBEDDING = "model.decoder.embed_tokens.weight"


def save_layers(model: WhisperForConditionalGeneration, folder: Path, encoder_blocks: int, decoder_blocks: int) -> None:
    """Write what was trained of `model`, and nothing else."""
    weights = {name: weight.detach().cpu().contiguous() for name, weight in trained_weights(model).items()}
    if EMBEDDING in weights:
        ids = torch.tensor(model.get_parameter(EMBEDDING).trained_rows)
        weights |= {ROWS: weights.pop(EMBEDDING)[ids].contiguous(), IDS: ids}
    save_file(weights, Path(folder) / WEIGHTS, metadata={"format": "pt"})
    about = {"encoder_blocks": encoder_blocks, "decoder_blocks": decoder_blocks}
    (Path(folder) / ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def holds_layers(folder: Path) -> bool:
    return (Path(folder) / WEIGHTS).is_file()


@torch.no_grad()
def put_back(
    model: WhisperForConditionalGeneration, folder: Path, batch: dict[str, torch.Tensor], tolerance: float
) -> WhisperForConditionalGeneration:
    """`model` with the trained weights of `folder` in the place of its own, proved on a batch.

    Args:
        model: the base in float32, with the new tokens if the weights have rows of them.
        batch: `input_features` and `decoder_input_ids` of real audio.
        tolerance: largest difference of a logit from the base run with the trained weights.

    Raises:
        UserError: a weight is not the model's, or has another shape, or some logit differs by more.
    """
    weights = load_file(Path(folder) / WEIGHTS)
    if IDS in weights:
        ids, rows = weights.pop(IDS), weights.pop(ROWS)
        weights[EMBEDDING] = model.get_parameter(EMBEDDING).clone()
        weights[EMBEDDING][ids] = rows.float()
    weights = {name: weight.float() for name, weight in weights.items()}
    own = dict(model.named_parameters())
    for name, weight in weights.items():
        if name not in own or own[name].shape != weight.shape:
            raise UserError(
                f"{folder}: {name} {list(weight.shape)} is no weight of the model; give the model that it was trained on"
            )
    model.eval()
    expected = functional_call(model, weights, kwargs=batch, tie_weights=True).logits
    for name, weight in weights.items():
        own[name].copy_(weight)
    prove(model, expected, batch, tolerance)
    return model
