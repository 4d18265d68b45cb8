"""What stands by a training and has a state of its own: kept in the checkpoints, judged with, delivered.

The trainer calls each companion where `Trainer`'s callbacks do not come: before the checkpoint is sealed
(`checkpoints.py`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transformers import TrainerCallback


class Companion(TrainerCallback):
    """A callback with a state. Each method does nothing unless it is overridden."""

    @contextmanager
    def storing(self) -> Iterator[None]:
        """Around the writing and reading of the model's own weights."""
        yield

    @contextmanager
    def judging(self) -> Iterator[None]:
        """Around an evaluation."""
        yield

    def save(self, checkpoint: Path) -> None:
        """Write the state; in the first process alone."""

    def resume(self, checkpoint: Path) -> None:
        """Read the state back."""

    def deliver(self, checkpoint: Path) -> None:
        """Make the model what is delivered, after its weights were read from the best checkpoint."""
