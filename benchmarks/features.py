"""What log-mels cost: seconds of speech computed in a second, and bytes that an hour of speech takes.

Usually a clip at a time is padded to 30 s and kept in float32 (`WhisperFeatureExtractor`). Here clips are computed in
batches that are padded only to their longest, and kept in float16 at their own length (`scripts/asr/features.py`).
Clips of 5.0 s on average, as in Common Voice's German.

    python benchmarks/features.py
    python benchmarks/features.py --mels 128
"""

from collections.abc import Iterator

from side_by_side import Job, Side, flags, table, take_turns

REFERENCE = "a clip at a time, 30 s"
OURS = "in batches, own length"
CLIPS = 96  # of a turn
BATCH = 24  # clips, or 120 seconds: extract_features.batch_seconds of the sample


def waveforms() -> list:
    """Noise, float32 `[samples]` at 16 kHz."""
    import numpy as np

    from asr.whisper_shape import SAMPLE_RATE

    rng = np.random.default_rng(0)
    seconds = rng.normal(5.0, 1.6, CLIPS).clip(1.25, 30.0)
    return [rng.normal(0.0, 0.1, round(length * SAMPLE_RATE)).astype(np.float32) for length in seconds]


def jobs(ours: bool, mels: int) -> Iterator[Job]:
    from transformers import WhisperFeatureExtractor

    from asr.features import log_mels
    from asr.whisper_shape import SAMPLE_RATE

    extractor = WhisperFeatureExtractor(feature_size=mels)
    clips = waveforms()

    def run() -> list:
        if ours:
            batches = (clips[start : start + BATCH] for start in range(0, CLIPS, BATCH))
            return [mel for batch in batches for mel in log_mels(batch, extractor.mel_filters, "cpu")]
        return [extractor(clip, sampling_rate=SAMPLE_RATE, return_tensors="np").input_features for clip in clips]

    while True:
        yield sum(map(len, clips)) / SAMPLE_RATE, run


def megabytes_an_hour(mels: int) -> tuple[float, float]:
    """Of padded float32, and of float16 at the clips' own lengths."""
    from asr.features import frames_of
    from asr.whisper_shape import SAMPLE_RATE, WINDOW_FRAMES

    lengths = [len(clip) for clip in waveforms()]
    hours = sum(lengths) / SAMPLE_RATE / 3600
    return 4e-6 * CLIPS * WINDOW_FRAMES * mels / hours, 2e-6 * sum(map(frames_of, lengths)) * mels / hours


if __name__ == "__main__":
    parser = flags(__doc__, rounds=8)
    parser.add_argument("--mels", type=int, choices=[80, 128], default=80, help="mel bins (default 80)")
    given = parser.parse_args()
    sides = {REFERENCE: Side(jobs, False, given.mels), OURS: Side(jobs, True, given.mels)}
    print(table(take_turns(sides, given.rounds), "speech-seconds / s", REFERENCE))
    padded, own = megabytes_an_hour(given.mels)
    print(
        f"\nan hour of speech: {padded:.0f} MB padded in float32, {own:.0f} MB in the cache, {padded / own:.1f} times less"
    )
