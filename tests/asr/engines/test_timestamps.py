"""Timestamps among tokens become stretches as in openai-whisper, whose rules for writing them are kept."""

import numpy as np
import pytest
import torch
from whisper.decoding import ApplyTimestampRules
from whisper.tokenizer import get_tokenizer

from asr.engines.timestamps import decode_on, split, timestamp_rules

FIRST, END = 50364, 50257


def at(seconds):
    return FIRST + round(seconds / 0.02)


@pytest.mark.parametrize(
    ("tokens", "stretches", "end"),
    [
        ([], [], 9.0),
        ([1, 2], [(0.0, 9.0, [1, 2], 0)], 9.0),  # no timestamp
        ([at(0.5), 1, 2], [(0.5, 9.0, [1, 2], 1)], 9.0),  # never closed
        ([at(0.5), 1, 2, at(3)], [(0.5, 3.0, [1, 2], 1)], 9.0),  # a single one at the end: nothing follows
        ([at(0), 1, at(3), at(3.2), 2, at(5)], [(0.0, 3.0, [1], 1), (3.2, 5.0, [2], 4)], 9.0),
        ([at(0), 1, at(3), at(3)], [(0.0, 3.0, [1], 1)], 3.0),  # a pair at the end: more follows
        ([at(0), 1, at(3), at(3), 2, 3], [(0.0, 3.0, [1], 1)], 3.0),  # unfinished: heard again from the pair
        ([at(0), at(9)], [], 0.0),  # which the rules forbid; `decode_on` does not ask again
        ([at(0), 1, at(20)], [(0.0, 9.0, [1], 1)], 9.0),  # later than the sound
    ],
)
def test_tokens_are_split_where_two_timestamps_meet(tokens, stretches, end):
    found, ends = split(tokens, FIRST, 9.0)
    assert [(round(s.start, 6), round(s.end, 6), s.tokens, s.first) for s in found] == stretches
    assert ends == pytest.approx(end)


def test_what_was_left_open_is_heard_again_from_there():
    heard = []
    answers = iter([[at(0), 1, at(4), at(4), 2], [at(0), 2, at(3)]])

    def decode(part):
        heard.append(len(part) / 16_000)
        return next(answers), "more"

    waveform = np.zeros(10 * 16_000, np.float32)
    found = [(offset, stretch.tokens) for offset, stretch, _ in decode_on(waveform, decode, FIRST)]
    assert heard == [10.0, 6.0] and found == [(0.0, [1]), (4.0, [2])]


def test_a_model_that_does_not_get_on_is_not_asked_for_ever():
    assert [*decode_on(np.zeros(16_000, np.float32), lambda part: ([at(0), 1, at(0), at(0)], None), FIRST)]


def test_the_rules_are_openai_whispers():
    tokenizer = get_tokenizer(multilingual=True)
    reference = ApplyTimestampRules(tokenizer, sample_begin=3, max_initial_timestamp_index=50)
    assert (tokenizer.timestamp_begin, tokenizer.eot) == (FIRST, END)
    rng = np.random.default_rng(0)
    histories = [
        [],
        [at(0)],
        [at(0), 1],
        [at(0), 1, at(2)],
        [at(0), 1, at(2), at(2)],
        [at(0), 1, at(2), at(2), 5],
        [7],
        [7, 8],
    ]
    for written in histories:
        for louder in (0.0, 12.0, -12.0):
            logits = rng.normal(0, 2, 51865).astype(np.float32)
            logits[FIRST:] += louder
            expected = torch.from_numpy(logits.copy())[None]
            reference.apply(expected, torch.tensor([[50258, 50261, 50359, *written]]))
            timestamp_rules(written, logits, FIRST, END)
            np.testing.assert_array_equal(np.isfinite(logits), np.isfinite(expected[0].numpy()), str(written))
