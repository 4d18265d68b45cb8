"""A running average of the weights that are trained: it is judged and delivered in their place.

The share that it keeps a step rises to `decay` as (1 + step) / (10 + step), so that the first weights, which nobody
wants, are soon forgotten. Source: the moving average of TensorFlow and timm; arXiv 1806.05594 on why it is better.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch.optim.swa_utils import get_ema_multi_avg_fn

from asr.companion import Companion
from asr.trainable import trained_weights

FILE = "average.safetensors"


class Average(Companion):
    """The average of `model`'s trained weights.

    Args:
        model: as the trainer has it; which weights are trained must be settled when training begins.
        decay: share that the average keeps a step.
    """

    def __init__(self, model: torch.nn.Module, decay: float):
        self._model, self._decay = model, decay
        self._average: dict[str, torch.Tensor] = {}

    def on_train_begin(self, args, state, control, **kwargs):
        if not self._average:  # else resumed
            self._average = {name: weight.detach().clone() for name, weight in trained_weights(self._model).items()}

    @torch.no_grad()
    def on_step_end(self, args, state, control, **kwargs):
        weights = trained_weights(self._model)
        decay = min(self._decay, (1 + state.global_step) / (10 + state.global_step))
        update = get_ema_multi_avg_fn(decay)
        update([self._average[name] for name in weights], [weight.detach() for weight in weights.values()], None)

    @contextmanager
    def judging(self) -> Iterator[None]:
        if not self._average:
            yield
            return
        weights = trained_weights(self._model)
        trained = {name: weight.detach().clone() for name, weight in weights.items()}
        self._set(self._average)
        try:
            yield
        finally:
            self._set(trained)

    def save(self, checkpoint: Path) -> None:
        save_file({name: weight.contiguous() for name, weight in self._average.items()}, checkpoint / FILE)

    def resume(self, checkpoint: Path) -> None:
        read = load_file(checkpoint / FILE)
        weights = trained_weights(self._model)
        self._average = {name: read[name].to(weight.device) for name, weight in weights.items()}

    def deliver(self, checkpoint: Path) -> None:
        self._set(load_file(checkpoint / FILE))

    @torch.no_grad()
    def _set(self, values: dict[str, torch.Tensor]) -> None:
        for name, weight in trained_weights(self._model).items():
            weight.copy_(values[name])
