"""What two habits of the evaluation save: seconds of speech that are transcribed in a second, on the sample's test clips.

Clips of like length are decoded together instead of in the corpus's order, so that none waits for the many words of
another; and a window that faster-whisper decodes with timestamps and without is encoded once (`scripts/asr/faster_engine.py`).
Needs what `make repro` makes.

    python benchmarks/decoding.py
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from side_by_side import Job, Side, flags, table, take_turns

BATCH = 16
CLIPS = 16  # that faster-whisper decodes; transformers decodes all


def clips(outputs: Path) -> list:
    """The sample's single test utterances, float32 `[samples]`, in a random order as a real corpus has it."""
    import numpy as np

    from asr.audio import decode
    from asr.utterance import load_split

    rows = load_split(outputs / "prepare_audio", "test")
    chosen = [row["audio"] for row in rows if row["source"] in ("general", "domain")]
    return [decode(chosen[i]) for i in np.random.default_rng(0).permutation(len(chosen))]


def seconds(waveforms: list) -> float:
    from asr.whisper_shape import SAMPLE_RATE

    return sum(map(len, waveforms)) / SAMPLE_RATE


def greedy(outputs: Path, ours: bool) -> Iterator[Job]:
    """transformers; the reference gets a batch at a time, in the corpus's order."""
    from asr.transformers_engine import Transformers

    waveforms = clips(outputs)
    engine = Transformers(outputs / "train_german_model", BATCH)
    size = len(waveforms) if ours else BATCH
    batches = [waveforms[start : start + size] for start in range(0, len(waveforms), size)]
    while True:
        yield seconds(waveforms), lambda: [list(engine(batch, "de")) for batch in batches]


def both_ways(outputs: Path, ours: bool) -> Iterator[Job]:
    """faster-whisper with timestamps, then without; the reference remembers nothing."""
    from asr.environment import workers
    from asr.faster_engine import FasterWhisper

    waveforms = clips(outputs)[:CLIPS]

    def transcribe(engine: FasterWhisper) -> None:
        for decode in (engine.default, engine.without_timestamps):
            list(decode(waveforms, "de"))

    while True:
        engine = FasterWhisper(outputs / "convert_to_faster/int8", BATCH, beam_size=5, threads=workers())  # a new one
        if not ours:
            engine._model.MOST_BYTES = 0
        yield 2 * seconds(waveforms), partial(transcribe, engine)


if __name__ == "__main__":
    parser = flags(__doc__, rounds=3)
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="the sample's folder (default outputs)")
    given = parser.parse_args()
    for jobs, reference, ours in (
        (greedy, "the corpus's order", "by length"),
        (both_ways, "encoded each time", "encoded once"),
    ):
        sides = {reference: Side(jobs, given.outputs, False), ours: Side(jobs, given.outputs, True)}
        print(f"{table(take_turns(sides, given.rounds), 'speech-seconds / s', reference)}\n")
