"""What fine-tuning makes a Whisper forget first: which language it hears, and when something is said.

language_accuracy(["de", "de", "nl"], "de")                    # 0.667
has_valid_timestamps([50365, 2425, 50415], 50365, seconds=1.1)  # True: <|0.00|> … <|1.00|>
"""

from collections.abc import Sequence

from asr.whisper_shape import TIMESTAMP_SECONDS

SLACK_SECONDS = 0.2  # a time may lie so much behind the sound: nobody sees it in a subtitle


def language_accuracy(identified: Sequence[str], language: str) -> float:
    """The share of recordings whose language is identified."""
    return sum(one == language for one in identified) / len(identified)


def has_valid_timestamps(tokens: Sequence[int], first: int, seconds: float) -> bool:
    """Whether all text stands between two times, the second of them later, none before an earlier one or behind the sound.

    Decoders make times grow and begin with one; a model that has forgotten them leaves segments open or runs past the end.

    Args:
        tokens: what was decoded with timestamps, between `<|transcribe|>` and `<|endoftext|>`.
        first: the id of `<|0.00|>`.
        seconds: of sound.
    """
    begin, last, said, wrote = None, 0.0, False, False
    for token in tokens:
        if token < first:
            if begin is None:
                return False
            said = wrote = True
            continue
        now = (token - first) * TIMESTAMP_SECONDS
        if now < last or (said and now <= begin):
            return False
        begin, last, said = (None if said else now), now, False
    return wrote and not said and last <= seconds + SLACK_SECONDS
