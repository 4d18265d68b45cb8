"""A synthetic German corpus, so that everything runs anywhere.

In: nothing. Out: four folders in Common Voice's own layout, `<name>/de/{clips/*.flac, train.tsv, dev.tsv, test.tsv, validated.tsv}`:
general (voice commands and questions), domain (the kitchen: other words, other voices), long (test only: recordings of
several sentences with pauses) and noise (train only: nobody speaks, the sentence is empty). No sentence and no voice of a
test or dev split occurs in another split, and each of their words occurs in training, which may repeat a sentence.

    python scripts/sample_speech.py
"""

import csv
import hashlib
import random
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from asr.command import run_stage
from asr.errors import UserError
from asr.params import SampleSpeech
from asr.paths import output_folder
from asr.sentences import GENERAL, KITCHEN, Sentences, words

COLUMNS = ["client_id", "path", "sentence", "up_votes", "down_votes", "age", "gender", "accent", "locale", "segment"]
MIN_OCCURRENCES = 3  # of each word of an evaluation sentence in the training sentences
MAX_MISSES = 5000  # drawn in a row without a sentence that may be used: the grammar is exhausted
NOISES = ("silence", "white", "pink", "brown", "hum", "clicks")


@dataclass(frozen=True)
class Clip:
    """What is to be recorded. `sound` is the voice, or the kind of noise."""

    corpus: str
    split: str
    number: int
    sound: str
    sentence: str

    @property
    def file(self) -> str:
        return f"common_voice_de_{self.corpus}_{self.split}_{self.number:05d}.flac"

    def random(self, seed: int) -> random.Random:
        """The clip's own source of randomness, so that its sound does not depend on the clips before it."""
        return random.Random(f"{seed} {self.file}")


def main(params: SampleSpeech) -> None:
    voices = divide_voices(params)
    clips = speech_clips(params, voices) + noise_clips(params)
    with output_folder(params.output_dir) as folder:
        record(clips, folder, params.seed)
        for corpus in ("general", "domain", "long", "noise"):
            write_tables([clip for clip in clips if clip.corpus == corpus], folder / corpus / "de")
    for (corpus, split), count in Counter((clip.corpus, clip.split) for clip in clips).items():
        print(f"{params.output_dir}/{corpus}: {count} clips for {split}")


def divide_voices(params: SampleSpeech) -> dict[str, list[str]]:
    """Voices by "<corpus> <split>", none of them twice."""
    from asr.espeak import VARIANTS

    sizes = {"general train": params.train_voices}
    held_out = ("general dev", "general test", "domain train", "domain dev", "domain test")
    sizes |= dict.fromkeys(held_out, params.held_out_voices)
    if sum(sizes.values()) > len(VARIANTS):
        raise UserError(
            f"sample_speech: train_voices {params.train_voices} + 5 x held_out_voices {params.held_out_voices} are "
            f"{sum(sizes.values())} voices, but espeak-ng has {len(VARIANTS)} clear ones; lower one of the two"
        )
    deck = [f"de+{variant}" for variant in VARIANTS]
    random.Random(f"voices {params.seed}").shuffle(deck)
    return {part: [deck.pop() for _ in range(size)] for part, size in sizes.items()}


def speech_clips(params: SampleSpeech, voices: dict[str, list[str]]) -> list[Clip]:
    """Every clip in which somebody speaks; the voices of a split take turns."""
    clips = []
    for corpus, grammar, train_clips in (
        ("general", GENERAL, params.train_clips),
        ("domain", KITCHEN, params.domain_train_clips),
    ):
        sentences = Sentences(grammar, f"{corpus} {params.seed}")
        sizes = {"train": train_clips, "dev": params.dev_clips, "test": params.test_clips}
        if corpus == "general":
            sizes["long"] = params.long_recordings * params.long_sentences
        drawn = draw_sentences(sentences, sizes, f"sample_speech: {corpus}")
        for split in ("train", "dev", "test"):
            cast = voices[f"{corpus} {split}"]
            clips += [Clip(corpus, split, i, cast[i % len(cast)], text) for i, text in enumerate(drawn[split])]
        if corpus == "general":
            cast, several = voices["general test"], params.long_sentences
            texts = [" ".join(drawn["long"][i : i + several]) for i in range(0, sizes["long"], several)]
            clips += [Clip("long", "test", i, cast[i % len(cast)], text) for i, text in enumerate(texts)]
    return clips


def draw_sentences(sentences: Sentences, sizes: dict[str, int], name: str) -> dict[str, list[str]]:
    """`sizes[split]` sentences for each split.

    The first split may say a sentence more than once; those of the others are all new, of words that the first has.
    """
    known: Counter[str] = Counter()
    used: set[str] = set()
    drawn: dict[str, list[str]] = {}
    for split, size in sizes.items():
        drawn[split] = []
        misses = 0
        while len(drawn[split]) < size:
            if misses == MAX_MISSES:
                raise UserError(
                    f"{name}: found only {len(drawn[split])} of {size} new sentences for {split}; ask for fewer clips of "
                    f"{split}, or for more of train, whose words they must share"
                )
            text = sentences.draw()
            if known and (text in used or any(known[word] < MIN_OCCURRENCES for word in words(text))):
                misses += 1
                continue
            misses = 0
            used.add(text)
            drawn[split].append(text)
        if not known:
            known.update(word for text in drawn[split] for word in words(text))
    return drawn


def noise_clips(params: SampleSpeech) -> list[Clip]:
    """Every clip in which nobody speaks."""
    return [Clip("noise", "train", i, NOISES[i % len(NOISES)], "") for i in range(params.noise_clips)]


def record(clips: list[Clip], folder: Path, seed: int) -> None:
    """Write each clip's recording."""
    from asr.environment import workers
    from asr.pool import in_order
    from asr.progress import progress
    from asr.synthesis import recording

    for corpus in {clip.corpus for clip in clips}:
        (folder / corpus / "de" / "clips").mkdir(parents=True)
    recordings = in_order(partial(recording, seed=seed), clips, workers())
    for clip, flac in zip(clips, progress(recordings, len(clips), "synthesising", "clip"), strict=True):
        (folder / clip.corpus / "de" / "clips" / clip.file).write_bytes(flac)


def write_tables(clips: list[Clip], folder: Path) -> None:
    """Common Voice's tables: one a split, and validated.tsv of all."""
    tables = {split: [clip for clip in clips if clip.split == split] for split in ("train", "dev", "test")}
    for name, rows in (tables | {"validated": clips}).items():
        with (folder / f"{name}.tsv").open("w", encoding="utf-8", newline="") as file:
            # Common Voice quotes nothing.
            writer = csv.DictWriter(
                file, COLUMNS, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, restval=""
            )
            writer.writeheader()
            for clip in rows:
                speaker = clip.file if clip.corpus == "noise" else clip.sound
                writer.writerow({
                    "client_id": hashlib.sha512(f"espeak-ng {speaker}".encode()).hexdigest(),
                    "path": clip.file, "sentence": clip.sentence, "up_votes": 2, "down_votes": 0, "locale": "de",
                })  # fmt: skip


if __name__ == "__main__":
    run_stage(SampleSpeech, main)
