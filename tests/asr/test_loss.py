"""The training loss is Whisper's own where something is taught, and leaves a plain Whisper behind."""

import pytest
import torch

from asr.ctc import ctc_loss
from asr.labels import IGNORED, Labeler
from asr.loss import training_loss
from asr.new_model import new_whisper
from asr.sampled_vocabulary import SampledVocabulary
from asr.short_context import allow_short_context
from asr.vocabulary import whisper_tokenizer


@pytest.fixture(scope="module")
def labeler():
    return Labeler(whisper_tokenizer(80))


@pytest.fixture
def model():
    model = new_whisper(mels=80, width=16, heads=2, encoder_layers=1, decoder_layers=1, seed=0)
    allow_short_context(model)
    return model.eval()


@pytest.fixture
def batch(labeler):
    torch.manual_seed(0)
    ids = torch.tensor([[50258, 50261, 50359, 50363, 1000, 2000], [50258, 50261, 50359, 50363, 3000, 50257]])
    labels = torch.tensor(
        [[50261, 50359, 50363, 1000, 2000, 50257], [IGNORED, 50359, 50363, 3000, 50257, IGNORED]]  # a prompt, padding
    )
    return {"input_features": torch.randn(2, 80, 200), "decoder_input_ids": ids, "labels": labels}


def test_it_is_whispers_own_loss(model, labeler, batch):
    own = model(**batch)
    with training_loss(model, labeler):
        ours = model(**batch)
    assert ours.loss.item() == pytest.approx(own.loss.item(), rel=1e-5)
    assert ours.logits is None


def test_afterwards_the_model_is_plain(model, labeler, batch):
    before = list(model.state_dict())
    with (
        pytest.raises(RuntimeError, match="interrupted"),
        training_loss(model, labeler, ctc_weight=0.1, guided_attention_weight=0.5),
    ):
        assert "ctc_head.weight" in model.state_dict()
        raise RuntimeError("interrupted")
    assert list(model.state_dict()) == before
    assert model(**batch).logits.shape == (2, 6, 51865)


def test_generation_goes_on_as_ever(model, labeler, batch):
    arguments = {"language": "de", "task": "transcribe", "max_new_tokens": 4}
    expected = model.generate(batch["input_features"], **arguments)
    with training_loss(model, labeler, ctc_weight=0.1, guided_attention_weight=0.5):
        assert torch.equal(model.generate(batch["input_features"], **arguments), expected)


def test_ctc_is_added_with_its_weight(model, labeler, batch):
    with training_loss(model, labeler, ctc_weight=0.5):
        loss = model(**batch).loss
        states = model.model.encoder(batch["input_features"]).last_hidden_state
        texts = [labeler.decode(row).encode() for row in batch["labels"].tolist()]
        spelled = ctc_loss(model.ctc_head(states), texts)
    with training_loss(model, labeler):
        bare = model(**batch).loss
    assert loss.item() == pytest.approx((bare + 0.5 * spelled / 10).item(), rel=1e-5)


def test_training_looks_at_a_part_of_the_vocabulary_and_evaluation_at_the_whole(model, labeler, batch):
    taught = [50261, 50359, 50363, 1000, 2000, 3000, 50257]
    with training_loss(model, labeler):
        whole = model(**batch).loss.item()
    with training_loss(model, labeler, vocabulary=SampledVocabulary(taught, 51865, 0, seed=0)):
        assert model(**batch).loss.item() == pytest.approx(whole, rel=1e-5)
        assert model.train()(**batch, step=3).loss.item() < 0.5 * whole
        with pytest.raises(TypeError):
            model(**batch)  # a training step that does not know its number
