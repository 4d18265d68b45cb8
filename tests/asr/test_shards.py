"""What is written to shards is read back: every field of every utterance, in order."""

from asr.shards import ShardWriter
from asr.utterance import Segment, Utterance, columns, load_split

UTTERANCES = [
    Utterance(
        id=f"a/{number}",
        audio=bytes([number]) * 100,
        text=("Grün ist es.", "")[number % 2],
        language="de",
        speaker="a/S",
        source="a",
        domain="d",
        split="dev",
        seconds=number / 7,
        segments=tuple(Segment(0.1 * i, 0.1 * i + 0.1, f"Teil {i}") for i in range(number % 3)),
    )
    for number in range(250)
]


def test_round_trip(tmp_path):
    with ShardWriter(tmp_path / "dev", columns(), shard_bytes=10_000) as shards:
        for utterance in UTTERANCES:
            shards.write(utterance.row())
    assert len(list((tmp_path / "dev").iterdir())) == 3
    assert list(load_split(tmp_path, "dev")) == [utterance.row() for utterance in UTTERANCES]
