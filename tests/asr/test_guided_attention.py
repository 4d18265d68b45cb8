"""Laws of guided attention: it is the share of the attention that lies where a token is said, and it leaves no trace."""

import math

import pytest
import torch

from asr.guided_attention import REACH_SECONDS, guided_attention_loss, recorded_cross_attention
from asr.new_model import new_whisper
from asr.short_context import allow_short_context

POSITIONS = 200  # 4 s
NOBODY = math.nan


@pytest.fixture
def model():
    model = new_whisper(mels=80, width=16, heads=2, encoder_layers=1, decoder_layers=3, seed=0)
    allow_short_context(model)
    return model.eval()


def heard_by(model):
    torch.manual_seed(0)
    with recorded_cross_attention(model.model.decoder) as heard:
        model(input_features=torch.randn(1, 80, 2 * POSITIONS), decoder_input_ids=torch.tensor([[50258, 1, 2, 3]]))
    return heard


def look_at(model, layer, seconds):
    """Make one layer's attention lie at one place alone, whatever is asked."""
    attention = model.model.decoder.layers[layer].encoder_attn
    attention.q_proj.weight.data.zero_()
    attention.q_proj.bias.data.fill_(1.0)

    def keys(_, states):
        places = torch.full(states.shape, -100.0)
        places[:, round(seconds * 50)] = 100.0
        return places

    attention.k_proj.forward = lambda states: keys(None, states)


def test_attention_that_lies_everywhere_costs_the_share_within_reach_for_each_label(model):
    for layer in range(3):
        model.model.decoder.layers[layer].encoder_attn.q_proj.weight.data.zero_()
        model.model.decoder.layers[layer].encoder_attn.q_proj.bias.data.zero_()
    loss = guided_attention_loss(heard_by(model), torch.tensor([[NOBODY, NOBODY, 2.0, 2.0]]))
    within = 2 * round(REACH_SECONDS * 50)  # and a rounding at the rim
    labels = (1 + 2 + 2) / 3  # in the first layer, which does not read the last one, and in the two others
    assert loss.item() == pytest.approx(-labels * math.log(within / POSITIONS), rel=1e-4)


def test_the_first_layer_looks_for_what_was_read_and_the_others_for_what_comes(model):
    for layer, seconds in enumerate((1.0, 3.0, 3.0)):
        look_at(model, layer, seconds)
    # The third label is said at 1.0 and read at the fourth position, whose own label is said at 3.0.
    right = guided_attention_loss(heard_by(model), torch.tensor([[NOBODY, NOBODY, NOBODY, 3.0]]))
    assert right.item() == pytest.approx(0.0, abs=1e-4)
    heard = heard_by(model)
    first_alone = torch.tensor([[NOBODY, NOBODY, 1.0, 3.0]])
    later_layers = guided_attention_loss(heard[1:] + heard[1:2], torch.tensor([[NOBODY, NOBODY, NOBODY, 3.0]]))
    assert later_layers.item() == pytest.approx(0.0, abs=1e-4)
    assert guided_attention_loss(heard[:1] + heard[:1], first_alone).item() > 1.0


def test_nobody_speaks_and_nothing_is_asked(model):
    assert guided_attention_loss(heard_by(model), torch.full((1, 4), NOBODY)).item() == 0.0


def test_its_gradient_is_finite_however_far_the_attention_is(model):
    for layer in range(3):
        look_at(model, layer, 0.5)
    heard = heard_by(model)
    loss = guided_attention_loss(heard, torch.tensor([[NOBODY, 3.5, 3.6, 99.0]]))
    loss.backward()
    assert math.isfinite(loss.item())
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    assert gradients and all(gradient.isfinite().all() for gradient in gradients)


def test_a_single_layer_looks_for_what_comes():
    model = new_whisper(mels=80, width=16, heads=2, encoder_layers=1, decoder_layers=1, seed=0)
    allow_short_context(model)
    look_at(model, 0, 3.0)
    assert guided_attention_loss(heard_by(model), torch.tensor([[NOBODY, 3.0, 3.0, 3.0]])).item() == pytest.approx(
        0.0, abs=1e-4
    )
