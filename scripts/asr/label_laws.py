"""The laws of what the decoder is taught, checked on finished label sequences and batches.

    broken(sequence, labeler, text="Licht an.", seconds=1.6)       # [] or what is wrong, a sentence each
    broken_batch(batch, labeler)

They hold for whatever made the sequence, so that lint_labels, the tests and the start of every training ask the same.
"""

from collections.abc import Iterator

import torch

from asr.labels import IGNORED, Labeler, LabelSequence
from asr.whisper_shape import MAX_PROMPT_TOKENS, MAX_TOKENS, TIMESTAMP_SECONDS

SLACK_SECONDS = TIMESTAMP_SECONDS  # a time may lie so much behind the sound


def broken(sequence: LabelSequence, labeler: Labeler, text: str, seconds: float) -> list[str]:
    """What is wrong with a window's labels.

    Args:
        text: what is said in the window, as the data has it; "" where nobody speaks.
        seconds: of sound in the window.
    """
    ids, labels = sequence.decoder_input_ids, sequence.labels
    if not len(ids) == len(labels) == len(sequence.seconds):
        return [f"{len(ids)} tokens are read, {len(labels)} taught, {len(sequence.seconds)} timed"]
    if ids.count(labeler.start) != 1 or labeler.start in labels:
        return [
            f"<|startoftranscript|> is read {ids.count(labeler.start)} times and taught {labels.count(labeler.start)}"
        ]
    head = ids.index(labeler.start)
    return [
        *_of_length(ids, head),
        *_of_prompt(ids[:head], labels[:head], labeler),
        *_of_shift(ids, labels, head, labeler),
        *_of_text(labels[head:], labeler, text),
        *_of_times(labels[head:], labeler, seconds),
    ]


def broken_batch(batch: dict[str, torch.Tensor], labeler: Labeler) -> list[str]:
    """What is wrong with a collated batch."""
    ids, labels, features = batch["decoder_input_ids"], batch["labels"], batch["input_features"]
    if not len(ids) == len(labels) == len(features) or ids.shape != labels.shape:
        return [f"shapes: features {tuple(features.shape)}, read {tuple(ids.shape)}, taught {tuple(labels.shape)}"]
    found = []
    if features.shape[-1] % 2:
        found.append(f"features of {features.shape[-1]} frames, an odd number")
    for row, (read, taught) in enumerate(zip(ids.tolist(), labels.tolist(), strict=True)):
        end = len(taught) - taught[::-1].index(labeler.end) if labeler.end in taught else 0
        if not end:
            found.append(f"row {row}: <|endoftext|> is not taught")
        elif any(token != labeler.end for token in read[end:]) or any(label != IGNORED for label in taught[end:]):
            found.append(f"row {row}: something is read or taught after the end")
        if read.count(labeler.start) != 1:
            found.append(f"row {row}: <|startoftranscript|> is read {read.count(labeler.start)} times")
    return found


def _of_length(ids: list[int], head: int) -> Iterator[str]:
    if len(ids) > MAX_TOKENS:
        yield f"{len(ids)} tokens, the decoder holds {MAX_TOKENS}"
    if head > MAX_PROMPT_TOKENS + 1:
        yield f"a prompt of {head - 1} tokens, at most {MAX_PROMPT_TOKENS}"


def _of_prompt(read: list[int], taught: list[int], labeler: Labeler) -> Iterator[str]:
    if read and read[0] != labeler.previous:
        yield "something is read before <|startofprev|>"
    if any(label != IGNORED for label in taught):
        yield "the prompt is taught"
    if any(labeler.end <= token <= labeler.last_control for token in read[1:]):
        yield "a control token or a timestamp stands in the prompt"


def _of_shift(ids: list[int], labels: list[int], head: int, labeler: Labeler) -> Iterator[str]:
    if labels[head:-1] != ids[head + 1 :]:
        yield "a label is not the token that is read next"
    if labels[-1] != labeler.end or labeler.end in labels[:-1]:
        yield "<|endoftext|> is not taught once, at the end"


def _of_text(taught: list[int], labeler: Labeler, text: str) -> Iterator[str]:
    """Control tokens first, then text and timestamps alone; decoded, they are the text."""
    if not text:
        if taught != [labeler.no_speech, labeler.end]:
            yield "nobody speaks, but <|nospeech|> is not all that is taught"
        return
    if len(taught) < 4:
        yield f"{text[:80]!r} is said, but {[labeler.name(token) for token in taught if token >= 0]} is all that is taught"
        return
    if not labeler.start < taught[0] < labeler.translate:
        yield f"the first label, {taught[0]}, is no language"
    if taught[1] not in (labeler.translate, labeler.transcribe):
        yield f"the second label, {taught[1]}, is no task"
    said = taught[3 if taught[2] == labeler.no_timestamps else 2 : -1]
    if any(labeler.end <= token < labeler.timestamp_begin for token in said):
        yield "a control token stands in the text"
    if _folded(labeler.decode(said)) != _folded(text):
        yield f"the labels say {labeler.decode(said)[:80]!r}, the data {text[:80]!r}"


def _of_times(taught: list[int], labeler: Labeler, seconds: float) -> Iterator[str]:
    stamps = [token - labeler.timestamp_begin for token in taught if token >= labeler.timestamp_begin]
    if stamps != sorted(stamps):
        yield "timestamps run backwards"
    if stamps and stamps[-1] * TIMESTAMP_SECONDS > seconds + SLACK_SECONDS:
        yield f"a timestamp of {stamps[-1] * TIMESTAMP_SECONDS:.2f} s in {seconds:.2f} s of sound"
    if stamps and labeler.no_timestamps in taught:
        yield "timestamps after <|notimestamps|>"


def _folded(text: str) -> str:
    """A text without white space: segments are joined with a space or without one, as the language is written."""
    return "".join(text.split())
