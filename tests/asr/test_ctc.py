"""CTC over bytes counts what it says it counts."""

import pytest
import torch

from asr.ctc import CLASSES, CtcHead, ctc_loss


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
