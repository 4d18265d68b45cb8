"""A Whisper so small that a step takes milliseconds: width 16, two blocks on each side, the whole vocabulary."""

import pytest
import torch

HEARD = {"input_features": torch.linspace(-1, 1, 2 * 80 * 40).sin().view(2, 80, 40)}
SAID = {"decoder_input_ids": torch.tensor([[50258, 50261, 50359, 50363, 400, 401], [50258, 50261, 50359, 50363, 7, 8]])}
LABELS = torch.tensor([[50261, 50359, 50363, 400, 401, 50257], [50261, 50359, 50363, 7, 8, 50257]])


@pytest.fixture
def small_whisper():
    """A new one each time, always the same, that takes short contexts."""
    from asr.new_model import new_whisper
    from asr.short_context import allow_short_context

    model = new_whisper(mels=80, width=16, heads=2, encoder_layers=2, decoder_layers=2, seed=0)
    allow_short_context(model)
    return model


@pytest.fixture
def small_batch():
    """Real inputs of such a model, with `labels`."""
    return {name: value.clone() for name, value in (HEARD | SAID | {"labels": LABELS}).items()}


@pytest.fixture(scope="session")
def whisper_vocabulary():
    from asr.vocabulary import whisper_tokenizer

    return whisper_tokenizer(80)
