"""A synthetic German corpus, so that everything runs anywhere.

In: nothing. Out: four folders in Common Voice's own layout, `<name>/de/{clips/*.flac, train.tsv, dev.tsv, test.tsv, validated.tsv}`:
general (voice commands and questions), domain (the kitchen: other words, other voices), long (test only: recordings of
several sentences with pauses) and noise (train only: nobody speaks, the sentence is empty). No sentence and no voice of a
test or dev split occurs in another split, and each of their words occurs in training.

    python scripts/sample_speech.py
"""

import csv
import hashlib
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from asr.command import run_stage
from asr.errors import UserError
from asr.params import SampleSpeech
from asr.paths import output_folder
from asr.sentences import GENERAL, KITCHEN, Sentences, split_sentences, words

COLUMNS = ["client_id", "path", "sentence", "up_votes", "down_votes", "age", "gender", "accent", "locale", "segment"]
MIN_OCCURRENCES = 3  # of each word of an evaluation sentence in the training sentences
# Variable bit rate is the encoder's fastest mode: 27 ms for 2 s of speech; this level is about 65 kbit/s.
FLAC = {
    "format": "FLAC",
    "subtype": "PCM_16",
}  # Common Voice has MP3, which takes 50 ms a clip to encode, ten times as long
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
    """`sizes[split]` sentences for each split, no two alike; the first split is the one that the others' words must be in."""
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
            if text in used or (known and any(known[word] < MIN_OCCURRENCES for word in words(text))):
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
    import soundfile

    from asr.espeak import SAMPLE_RATE, Espeak
    from asr.progress import progress

    espeak = Espeak()
    for corpus in {clip.corpus for clip in clips}:
        (folder / corpus / "de" / "clips").mkdir(parents=True)
    for clip in progress(clips, len(clips), "synthesising", "clip"):
        samples = noise(clip, seed) if clip.corpus == "noise" else speech(clip, seed, espeak)
        soundfile.write(folder / clip.corpus / "de" / "clips" / clip.file, samples, SAMPLE_RATE, **FLAC)


def speech(clip: Clip, seed: int, espeak):
    """float32 [samples]: the clip's sentences at one rate, pitch and level, 0.3 to 0.9 s apart."""
    import numpy as np

    from asr.espeak import SAMPLE_RATE

    draw = clip.random(seed)
    rate, pitch, intonation = draw.randint(130, 190), draw.randint(30, 70), draw.randint(35, 65)
    parts = []
    for sentence in split_sentences(clip.sentence):
        if parts:
            parts.append(np.zeros(int(draw.uniform(0.3, 0.9) * SAMPLE_RATE), np.float32))
        parts.append(espeak.speak(sentence, clip.sound, rate, pitch, intonation).astype(np.float32))
    samples = np.concatenate(parts)
    return samples * (draw.uniform(0.2, 0.8) / np.abs(samples).max())


def noise(clip: Clip, seed: int):
    """float32 [samples]: 1 to 5 s of the clip's kind of noise, its peak between -60 and -6 dB of full scale."""
    import numpy as np

    from asr.espeak import SAMPLE_RATE

    draw = clip.random(seed)
    count = int(draw.uniform(1, 5) * SAMPLE_RATE)
    rng = np.random.default_rng(draw.getrandbits(64))
    if clip.sound == "silence":
        return np.zeros(count, np.float32)
    if clip.sound == "hum":  # the mains and its odd harmonics
        time = np.arange(count) / SAMPLE_RATE
        samples = sum(np.sin(2 * np.pi * 50 * k * time + rng.uniform(0, 6)) / k for k in (1, 3, 5, 7))
    elif clip.sound == "clicks":
        samples = 0.001 * rng.standard_normal(count)
        samples[rng.integers(0, count, 1 + 3 * count // SAMPLE_RATE)] = rng.choice([-1.0, 1.0])
    else:  # amplitude falls with frequency to the power of half the colour's exponent
        exponent = {"white": 0.0, "pink": 1.0, "brown": 2.0}[clip.sound]
        spectrum = np.fft.rfft(rng.standard_normal(count))
        frequencies = np.maximum(np.fft.rfftfreq(count, 1 / SAMPLE_RATE), 20.0)  # Hz; below nobody hears it
        samples = np.fft.irfft(spectrum * frequencies ** (-exponent / 2), count)
    level = 10 ** (draw.uniform(-60, -6) / 20)
    return (samples * (level / np.abs(samples).max())).astype(np.float32)


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
