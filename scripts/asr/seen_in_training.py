"""How much of each test set a model may know from its training: utterances whose speaker, recording or sentence is in it.

    seen_in_training(test_sets, [Path("outputs/prepare_audio")])
    # {"general": {"speakers_in_training": 0, "recordings_in_training": 0, "sentences_in_training": 12}, …}

prepare_audio lets no speaker and no recording into both, within its own folder; test sets may come from another. A sentence
that is in both is counted as news: many people read "Ja." Recordings are compared by their bytes.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from asr.judged import SEEN_FIGURES
from asr.leaks import BARE
from asr.test_sets import Recordings
from asr.text import clean
from asr.utterance import load_split


def seen_in_training(test_sets: Mapping[str, Recordings], training_dirs: Iterable[Path]) -> dict[str, dict[str, int]]:
    """Numbers of test utterances, by test set; what nobody knows of an utterance, or nobody says in it, is not seen.

    Raises:
        UserError: a folder of prepare_audio has no train split.
    """
    of = {name: recordings.utterances for name, recordings in test_sets.items()}
    asked = [
        {name: list(one.speakers) for name, one in of.items()},
        {
            name: [flac * bool(text) for flac, text in zip(one.flacs, of[name].references, strict=True)]
            for name, one in test_sets.items()
        },
        {name: [clean(text, BARE) for text in one.references] for name, one in of.items()},
    ]
    wanted = [{one for each in of_sets.values() for one in each if one} for of_sets in asked]
    seen: list[set] = [set(), set(), set()]
    for folder in training_dirs:
        train = load_split(folder, "train").data
        seen[0] |= wanted[0] & set(pc.unique(train.column("speaker")).to_pylist())
        seen[1] |= wanted[1] & set(_of_lengths(train.column("audio"), {len(flac) for flac in wanted[1]}))
        seen[2] |= wanted[2] & {clean(text, BARE) for text in pc.unique(train.column("text")).to_pylist()}
    return {
        name: {
            figure: sum(one in found for one in of_sets[name])
            for figure, of_sets, found in zip(SEEN_FIGURES, asked, seen, strict=True)
        }
        for name in test_sets
    }


def _of_lengths(audio: pa.ChunkedArray, lengths: Iterable[int]) -> Iterable[bytes]:
    """The recordings that are as long as one of a test set; of others, which are nearly all, no byte is read."""
    for chunk in audio.chunks:
        alike = pc.is_in(pc.binary_length(chunk), pa.array(sorted(lengths), pa.int32()))
        yield from chunk.filter(alike).to_pylist()
