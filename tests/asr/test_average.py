"""The average is what its formula says, is judged in the place of the weights, and survives a checkpoint."""

from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from asr.average import FILE, Average


@pytest.fixture
def model():
    model = torch.nn.Linear(3, 2)
    model.bias.requires_grad_(False)
    return model


def steps(average, model, numbers):
    for step in numbers:
        with torch.no_grad():
            model.weight.add_(1.0 + step)
        average.on_step_end(None, SimpleNamespace(global_step=step), None)


def test_it_forgets_the_first_weights_sooner_than_decay_says_and_then_follows_it(model):
    average = Average(model, decay=0.3)
    expected = model.weight.detach().clone()
    average.on_train_begin(None, None, None)
    for step, decay in ((1, 2 / 11), (2, 0.25), (3, 0.3), (4, 0.3)):
        steps(average, model, [step])
        expected = decay * expected + (1 - decay) * model.weight.detach()
    with average.judging():
        assert torch.allclose(model.weight, expected)


def test_after_judging_the_weights_are_the_trained_ones_even_if_it_fails(model):
    average = Average(model, decay=0.9)
    average.on_train_begin(None, None, None)
    steps(average, model, [1, 2])
    trained = model.weight.detach().clone()
    with pytest.raises(RuntimeError, match="judge"), average.judging():
        assert not torch.equal(model.weight, trained)
        raise RuntimeError("judge")
    assert torch.equal(model.weight, trained)


def test_resumed_it_goes_on_bit_for_bit_and_delivers_what_was_judged(model, tmp_path):
    average = Average(model, decay=0.9)
    average.on_train_begin(None, None, None)
    steps(average, model, [1, 2])
    average.save(tmp_path)
    assert load_file(tmp_path / FILE).keys() == {"weight"}  # what is frozen needs no average
    again = torch.nn.Linear(3, 2)
    again.load_state_dict(model.state_dict())
    again.bias.requires_grad_(False)
    resumed = Average(again, decay=0.9)
    resumed.resume(tmp_path)
    resumed.on_train_begin(None, None, None)
    for one, its_model in ((average, model), (resumed, again)):
        steps(one, its_model, [3, 4])
    with average.judging(), resumed.judging():
        assert torch.equal(model.weight, again.weight)
        judged = model.weight.detach().clone()
    average.save(tmp_path)
    average.deliver(tmp_path)
    assert torch.equal(model.weight, judged)
