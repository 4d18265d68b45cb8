"""Labels looked over before they are trained on: rows and a batch against the laws of `label_laws`, and a look for a person.

    check_labels(dataset, cache, labeler, first_step, collate, most=256)     # raises, with the row
    print(painted(dataset.sequence(window), labeler, color=True))

In: the dataset that training reads, and the windows of its first step. Out: nothing, or a `UserError` with the row's id.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from asr.batches import WindowDataset
from asr.errors import UserError
from asr.features import FeatureCache
from asr.label_laws import broken, broken_batch
from asr.labels import IGNORED, Labeler, LabelSequence
from asr.progress import progress
from asr.whisper_shape import FRAME_SECONDS, WINDOW_FRAMES
from asr.windows import Part, Window

CONTROL, TIME, READ = "\x1b[36m", "\x1b[33m", "\x1b[2m"  # cyan, yellow, faint
PLAIN = "\x1b[0m"


def broken_rows(
    dataset: WindowDataset, cache: FeatureCache, labeler: Labeler, rows: Iterable[int]
) -> Iterator[tuple[str, str]]:
    """Ids of the utterances whose labels break a law, with what is wrong; each is tried with and without timestamps."""
    for row in rows:
        utterance = cache.row(int(row))
        text = " ".join(s["text"] for s in utterance["segments"] or ()) or utterance["text"]
        for timestamps in (True, False):
            window = Window(
                (Part(int(row), 0),), WINDOW_FRAMES, timestamps=timestamps, zero_padded=False, seed=int(row)
            )
            try:
                found = broken(dataset.sequence(window), labeler, text.strip(), utterance["seconds"])
            except ValueError as error:
                found = [str(error)]
            if found:
                yield utterance["id"], "; ".join(found)
                break


def check_labels(
    dataset: WindowDataset,
    cache: FeatureCache,
    labeler: Labeler,
    first_step: Sequence[Window],
    collate: Callable[[list[dict]], dict],
    sources: Iterable[str],
    most: int | None = None,
) -> int:
    """Check rows of the sources, `most` of them drawn at random, or all; and the first step as one batch.

    Returns:
        How many rows were checked.

    Raises:
        UserError: a row or the batch breaks a law.
    """
    wanted = set(sources)
    rows = [i for i, source in enumerate(cache.utterances["source"][:]) if source in wanted]
    if most is not None and most < len(rows):
        rows = sorted(np.random.default_rng(0).choice(rows, most, replace=False).tolist())
    place = f"{cache.folder}/{cache.split}"
    walked = rows if most is not None else progress(rows, len(rows), "lint", "row")
    for id, problem in broken_rows(dataset, cache, labeler, walked):
        raise UserError(f"{place}: {id}: {problem}; correct the row, or reject it in prepare_audio")
    for window in first_step:
        if problems := _broken_window(dataset, labeler, window):
            ids = ", ".join(cache.row(part.utterance)["id"] for part in window.parts)
            raise UserError(f"{place}: a window of the first step: {problems}; it holds {ids}")
    examples = [dataset[window] for window in first_step]
    if problems := broken_batch(collate(examples), labeler):
        ids = ", ".join(id for example in examples for id in example["ids"])
        raise UserError(f"{place}: the first batch: {'; '.join(problems)}; it holds {ids}")
    return len(rows)


def _broken_window(dataset: WindowDataset, labeler: Labeler, window: Window) -> str:
    try:
        text = " ".join(segment.text for segment in dataset.spoken(window)[0])
        return "; ".join(broken(dataset.sequence(window), labeler, text.strip(), window.frames * FRAME_SECONDS))
    except ValueError as error:
        return str(error)


def painted(sequence: LabelSequence, labeler: Labeler, color: bool) -> str:
    """A window's labels for a person: control tokens, timestamps and what is only read each in a colour of its own."""
    first, taught = sequence.decoder_input_ids[0], sequence.labels
    read = [*sequence.decoder_input_ids[1:], labeler.end]
    pieces, text = [], []

    def paint(written: str, with_color: str) -> str:
        return f"{with_color}{written}{PLAIN}" if color and with_color else written

    def say(shade: str) -> None:
        if text:
            pieces.append(paint(labeler.decode(text), shade))
            text.clear()

    pieces.append(paint(labeler.name(first), READ))
    for token, label in zip(read, taught, strict=True):
        shade = READ if label == IGNORED else ""
        if token < labeler.end:
            text.append(token)
            continue
        say(shade)
        pieces.append(paint(labeler.name(token), shade or (TIME if token >= labeler.timestamp_begin else CONTROL)))
    say("")
    return " ".join(pieces)


def wants_color(terminal: bool) -> bool:
    """On a terminal, unless NO_COLOR is set (no-color.org)."""
    return terminal and not os.environ.get("NO_COLOR")
