"""A sampled vocabulary stands for the whole one, the same in each part of a step."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from asr.sampled_vocabulary import SampledVocabulary

TAUGHT, SIZE = [3, 5, 4000, 4999], 5000


@pytest.fixture(scope="module")
def given():
    torch.manual_seed(0)
    return torch.randn(12, 8), 0.3 * torch.randn(SIZE, 8), torch.tensor(TAUGHT * 3)  # states, embedding, labels


def test_with_every_other_token_drawn_it_is_the_whole_loss(given):
    states, embedding, labels = given
    whole = cross_entropy(states @ embedding.T, labels).item()
    assert SampledVocabulary(TAUGHT, SIZE, SIZE, seed=0).cross_entropy(*given, step=3).item() == pytest.approx(whole)


def test_what_is_drawn_stands_for_all(given):
    states, embedding, labels = given
    whole = cross_entropy(states @ embedding.T, labels).item()
    vocabulary = SampledVocabulary(TAUGHT, SIZE, 500, seed=0)
    losses = [vocabulary.cross_entropy(*given, step=step).item() for step in range(50)]
    assert len(set(losses)) == 50
    assert sum(losses) / 50 == pytest.approx(whole, rel=2e-3)
    without = SampledVocabulary(TAUGHT, SIZE, 0, seed=0).cross_entropy(*given, step=0).item()
    assert without < 0.5 * whole


def test_each_part_of_a_step_is_judged_by_the_same_draw_and_a_seed_by_its_own(given):
    vocabulary = SampledVocabulary(TAUGHT, SIZE, 500, seed=0)
    states, embedding, labels = given
    parts = [vocabulary.cross_entropy(states[i:j], embedding, labels[i:j], step=7) for i, j in ((0, 4), (4, 12))]
    whole = vocabulary.cross_entropy(*given, step=7)
    assert ((4 * parts[0] + 8 * parts[1]) / 12).item() == pytest.approx(whole.item())
    assert SampledVocabulary(TAUGHT, SIZE, 500, seed=1).cross_entropy(*given, step=7).item() != whole.item()


def test_tokens_that_were_never_drawn_are_not_touched(given):
    states, embedding, labels = given
    embedding = embedding.clone().requires_grad_()
    SampledVocabulary(TAUGHT, SIZE, 500, seed=0).cross_entropy(states, embedding, labels, step=0).backward()
    touched = embedding.grad.abs().sum(1) > 0
    assert touched.sum() == 504 and touched[TAUGHT].all()
