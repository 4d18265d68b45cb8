"""Each law of labels is seen to be broken where it is, and kept by what `Labeler` makes."""

from dataclasses import replace

import pytest
import torch

from asr.label_laws import broken, broken_batch
from asr.labels import IGNORED, Labeler, LabelSequence, Prompt
from asr.utterance import Segment
from asr.vocabulary import whisper_tokenizer

LABELER = Labeler(whisper_tokenizer(80))
TEXT = "Licht an."


def sequence(timestamps=True, prompt=Prompt(previous=("Guten Tag.",))) -> LabelSequence:  # noqa: B008
    return LABELER.encode([Segment(0.5, 1.5, TEXT)], "de", timestamps=timestamps, prompt=prompt)


def with_tokens(change, where=("read", "taught")) -> LabelSequence:
    """The sequence with the tokens after the prompt put through `change`: what is read, what is taught, or both."""
    made = sequence()
    tokens = [*made.decoder_input_ids, made.labels[-1]]
    head = tokens.index(LABELER.start)
    changed = change(list(tokens[head:]))
    read = tokens[:head] + changed[:-1] if "read" in where else made.decoder_input_ids
    taught = [IGNORED] * head + changed[1:] if "taught" in where else made.labels
    return LabelSequence(read, taught, [0.0] * len(read))


def put(position: int, token: int):
    return lambda tokens: [*tokens[:position], token, *tokens[position + 1 :]]


@pytest.mark.parametrize("timestamps", [True, False])
@pytest.mark.parametrize("prompt", [Prompt(), Prompt(about=("Küche",), previous=("Guten Tag.",))])
def test_what_is_made_keeps_them(timestamps, prompt):
    assert broken(sequence(timestamps, prompt), LABELER, TEXT, 1.6) == []
    assert broken(LABELER.encode([], "de", timestamps=timestamps), LABELER, "", 1.6) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: [LABELER.start, *t], "read 2 times"),  # the widespread collator's
        (put(1, LABELER.transcribe), "is no language"),
        (put(2, LABELER.timestamp_begin), "is no task"),
        (put(4, LABELER.no_speech), "a control token stands in the text"),
        (put(4, 0), "the labels say"),
        (put(3, LABELER.timestamp(1.52)), "timestamps run backwards"),
        (lambda t: [*t[:-2], LABELER.timestamp(2.0), t[-1]], "a timestamp of 2.00 s in 1.60 s of sound"),
        (lambda t: [*t[:3], LABELER.no_timestamps, *t[3:]], "timestamps after <|notimestamps|>"),
        (lambda t: t[:-1], "<|endoftext|> is not taught once"),
        (lambda t: [*t, LABELER.end], "<|endoftext|> is not taught once"),
        (lambda t: t[:-1] + [0] * 450 + t[-1:], "tokens, the decoder holds 448"),
    ],
)
def test_a_broken_sequence_is_seen(change, said):
    assert any(said in problem for problem in broken(with_tokens(change), LABELER, TEXT, 1.6))


def test_labels_that_are_shifted_are_seen():
    shifted = with_tokens(lambda t: [t[0], *t[2:], t[-1]], where=("taught",))
    assert "a label is not the token that is read next" in broken(shifted, LABELER, TEXT, 1.6)


def test_a_taught_prompt_is_seen():
    made = sequence()
    taught = replace(made, labels=[made.decoder_input_ids[1], *made.labels[1:]])
    assert "the prompt is taught" in broken(taught, LABELER, TEXT, 1.6)


def test_control_tokens_in_a_prompt_and_one_that_is_too_long_are_seen():
    made = sequence(prompt=Prompt())
    for head, said in (
        ([LABELER.previous, LABELER.timestamp(1.0)], "a control token or a timestamp stands in the prompt"),
        ([LABELER.previous] + [5] * 224, "a prompt of 224 tokens, at most 223"),
        ([5], "something is read before <|startofprev|>"),
    ):
        prompted = LabelSequence(
            head + made.decoder_input_ids, [IGNORED] * len(head) + made.labels, [0.0] * (len(head) + len(made.labels))
        )
        assert said in broken(prompted, LABELER, TEXT, 1.6)


def test_speech_taught_as_none_is_seen():
    assert broken(sequence(), LABELER, "", 1.6) == ["nobody speaks, but <|nospeech|> is not all that is taught"]


def test_speech_taught_as_silence_is_seen():
    assert "is all that is taught" in broken(LABELER.encode([], "de", timestamps=True), LABELER, TEXT, 1.6)[0]


def batch(**changes):
    made = sequence()
    padded = {
        "input_features": torch.zeros(1, 80, 160),
        "decoder_input_ids": torch.tensor([[*made.decoder_input_ids, LABELER.end]]),
        "labels": torch.tensor([[*made.labels, IGNORED]]),
    }
    return padded | changes


def test_a_batch_keeps_them_and_a_broken_one_is_seen():
    assert broken_batch(batch(), LABELER) == []
    good = batch()
    taught = good["labels"].clone()
    taught[0, -1] = LABELER.end
    assert broken_batch(batch(labels=taught), LABELER) == []  # the same end, a token later: nothing after it
    padding = good["decoder_input_ids"].clone()
    padding[0, -1] = 5
    for wrong, said in (
        ({"labels": torch.full_like(taught, IGNORED)}, "<|endoftext|> is not taught"),
        ({"decoder_input_ids": padding}, "after the end"),
        ({"decoder_input_ids": good["decoder_input_ids"][:, 1:]}, "shapes"),
        ({"input_features": torch.zeros(1, 80, 161)}, "161 frames"),
    ):
        assert any(said in problem for problem in broken_batch(batch(**wrong), LABELER))
