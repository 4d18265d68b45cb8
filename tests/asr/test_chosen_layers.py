"""The trained blocks alone are delivered, and base + blocks is the trained model."""

import copy

import pytest
import torch
from safetensors.torch import load_file, save_file

from asr.chosen_layers import IDS, ROWS, WEIGHTS, holds_layers, put_back, save_layers
from asr.errors import UserError
from asr.trainable import train_part


@pytest.fixture
def delivered(small_whisper, small_batch, tmp_path):
    """The base, the trained model, inputs, and the folder with what was trained."""
    base = copy.deepcopy(small_whisper)
    train_part(
        small_whisper, "last_blocks", encoder_blocks=1, decoder_blocks=1, token_rows=[51864, 7, 51862]
    )  # in any order, old ones too
    with torch.no_grad():
        for weight in small_whisper.parameters():
            if weight.requires_grad:
                if hasattr(weight, "trained_rows"):
                    weight[[51864, 7, 51862]] += torch.arange(1.0, 4.0)[:, None]
                else:
                    weight.add_(0.1)
    save_layers(small_whisper, tmp_path, encoder_blocks=1, decoder_blocks=1)
    return base, small_whisper, {n: small_batch[n] for n in ("input_features", "decoder_input_ids")}, tmp_path


def test_put_back_it_is_the_trained_model(delivered):
    base, trained, inputs, folder = delivered
    assert holds_layers(folder)
    merged = put_back(base, folder, inputs, tolerance=1e-6)
    ours, theirs = merged.state_dict(), trained.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_only_what_was_trained_is_kept(delivered):
    *_, folder = delivered
    weights = load_file(folder / WEIGHTS)
    assert weights[ROWS].shape == (3, 16) and weights[IDS].tolist() == [51864, 7, 51862]
    assert all(".layers.1." in name for name in weights.keys() - {ROWS, IDS})


def test_blocks_of_another_model_are_refused(delivered):
    base, _, inputs, folder = delivered
    save_file({"model.encoder.layers.9.fc1.weight": torch.zeros(2, 2)}, folder / WEIGHTS)
    with pytest.raises(UserError, match=r"encoder\.layers\.9\.fc1\.weight \[2, 2\] is no weight of the model"):
        put_back(base, folder, inputs, tolerance=1e-6)
