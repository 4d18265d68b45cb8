"""A model's weights, read from its safetensors one tensor at a time.

    weights = Weights(Path("outputs/merge_lora"))
    weights.read("model.encoder.conv1.bias")      # float32, in memory until it is let go

In: one file, or several with an index, in any float type. Out: float32.
"""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from asr.errors import UserError

_REMEDY = "make or copy the model again"


class Weights:
    """The tensors of a folder that transformers has saved."""

    def __init__(self, folder: Path):
        """Raises `UserError` if the folder has no safetensors, or an index that cannot be read."""
        self._folder = folder
        whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
        if whole.is_file():
            self._files = None
        elif index.is_file():
            try:
                self._files = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
            except (KeyError, TypeError, ValueError) as error:
                raise UserError(f"{index}: no index of weights; {_REMEDY}: {error}") from error
        else:
            raise UserError(
                f"{folder}: no model.safetensors; load the model with transformers and save it again, which writes it"
            )

    def names(self) -> set[str]:
        """Of all tensors. Raises `UserError` if the file is damaged."""
        if self._files is not None:
            return set(self._files)
        file = self._folder / "model.safetensors"
        try:
            with safe_open(file, "pt") as tensors:
                return set(tensors.keys())
        except (OSError, SafetensorError) as error:
            raise UserError(f"{file}: header cannot be read; {_REMEDY}: {error}") from error

    def read(self, name: str) -> np.ndarray:
        """One tensor as float32. Raises `UserError` if it is missing or its file is damaged."""
        file = self._folder / ("model.safetensors" if self._files is None else self._files.get(name, ""))
        try:
            # Opened for each tensor: what is mapped of a file counts as memory until it is closed.
            with safe_open(file, "pt") as tensors:
                return tensors.get_tensor(name).to(torch.float32).numpy()
        except (OSError, SafetensorError) as error:
            raise UserError(f"{file}: {name} cannot be read; {_REMEDY}: {error}") from error
