"""The training loss is Whisper's own where something is taught, and leaves a plain Whisper behind."""

import pytest
import torch

from asr.ctc import CLASSES, CtcHead, ctc_loss
from asr.labels import IGNORED, Labeler
from asr.loss import training_loss
from asr.model import allow_short_context
from asr.new_model import new_whisper
from asr.sampled_vocabulary import SampledVocabulary
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


TAUGHT = [50261, 50359, 50363, 1000, 2000, 3000, 50257]


def test_with_every_other_token_drawn_it_is_the_whole_loss(model, labeler, batch):
    with training_loss(model, labeler):
        whole = model(**batch).loss.item()
    with training_loss(model, labeler, vocabulary=SampledVocabulary(TAUGHT, 51865, 51865, seed=0)):
        assert model(**batch, step=3).loss.item() == pytest.approx(whole, rel=1e-5)
    with training_loss(model, labeler, vocabulary=SampledVocabulary(TAUGHT, 51865, 500, seed=0)):
        drawn = [model(**batch, step=step).loss.item() for step in range(30)]
        assert model(**batch).loss.item() == pytest.approx(whole, rel=1e-5)  # an evaluation has no step
    assert len(set(drawn)) == 30
    assert sum(drawn) / 30 == pytest.approx(whole, rel=1e-3)


def test_a_step_draws_the_same_in_each_part_of_it(model, labeler, batch):
    one, other = ({name: value[i : i + 1] for name, value in batch.items()} for i in range(2))  # 6 labels and 4
    with training_loss(model, labeler, vocabulary=SampledVocabulary(TAUGHT, 51865, 500, seed=0)):
        whole = model(**batch, step=3).loss
        parts = (6 * model(**one, step=3).loss + 4 * model(**other, step=3).loss) / 10
    assert parts.item() == pytest.approx(whole.item(), rel=1e-5)


def test_a_perfect_spelling_costs_nothing():
    text = "Grüße".encode()
    scores = torch.full((1, 2 * len(text), CLASSES), -50.0)
    for i, byte in enumerate(text):
        scores[0, 2 * i, byte] = 50.0
        scores[0, 2 * i + 1, 256] = 50.0
    assert ctc_loss(scores.log_softmax(-1), [text]).item() == pytest.approx(0.0, abs=1e-4)


def test_no_speech_is_spelled_as_nothing_and_a_text_too_long_counts_nothing():
    torch.manual_seed(0)
    head = CtcHead(8)
    rows = head(torch.randn(2, 5, 8))
    silent = -rows[0, :, 256].sum()
    assert ctc_loss(rows, [b"", b"longer than five"]).item() == pytest.approx(silent.item(), rel=1e-5)
