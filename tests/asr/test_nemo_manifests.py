"""What is written for NeMo is what the shards hold, and our NeMo reader reads it back."""

import json
import tarfile
from pathlib import Path

import pytest

from asr.corpora import SpeakerHash, read_corpus
from asr.errors import UserError
from asr.nemo_manifests import write_nemo_manifest
from asr.shards import ShardWriter
from asr.utterance import Segment, Utterance, columns

TEXTS = ['Er sagt:\t"Ja",\nund\u2028geht.', "", "Größe", "近几年，"]


def utterances(split: str) -> list[Utterance]:
    segments = (Segment(0.0, 0.5, "Er sagt"), Segment(0.5, 1.25, "und geht."))
    return [
        Utterance(
            id=f"cv/{split}/{i}",
            audio=f"fLaC {split} {i}".encode() * 100,
            text=TEXTS[i % 4],
            language=("de", "zh")[i % 2],
            speaker=("cv/A", "", "aishell/S0002")[i % 3],
            source="cv",
            domain="general",
            split=split,
            seconds=1.25 + i,
            segments=segments if i == 0 else (),
        )
        for i in range(11)
    ]


@pytest.fixture
def shards(tmp_path) -> Path:
    for split in ("train", "test"):
        with ShardWriter(tmp_path / "shards" / split, columns(), shard_bytes=5000) as writer:
            for utterance in utterances(split):
                writer.write(utterance.row())
    return tmp_path / "shards"


def read_back(folder: Path, tarred: bool) -> list[Utterance]:
    manifests = {s: f"{s}/tarred_audio_manifest.json" if tarred else f"{s}_manifest.jsonl" for s in ("train", "test")}
    tars = {s: f"{s}/audio_*.tar" for s in manifests} if tarred else {}
    fields = {"source": "n", "speakers": "n", "language": "en", "domain": "d", "text_field": "text"}
    longest = dict.fromkeys(("train", "dev", "test"), 30.0)
    corpus = read_corpus("nemo", SpeakerHash(0, 0.2, 0.2), longest, path=folder, splits=manifests, tars=tars, **fields)
    return list(corpus.utterances)


def facts(utterance: Utterance, namespace: str = "") -> tuple:
    u, audio = utterance, utterance.audio
    if not isinstance(audio, bytes):
        opened = audio.open()
        audio = opened.read_bytes() if isinstance(opened, Path) else opened.read()
    speaker = u.speaker.removeprefix(namespace)
    return audio, u.text, u.language, speaker, u.domain, u.split, u.seconds, u.segments


@pytest.mark.parametrize("tarred", [False, True])
def test_what_is_written_is_read_back_in_order(shards, tmp_path, tarred):
    for split in ("train", "test"):
        write_nemo_manifest(shards, split, tmp_path / "nemo", tarred, tar_bytes=3000)
    items = read_back(tmp_path / "nemo", tarred)
    expected = [*utterances("test"), *utterances("train")]
    assert [facts(item, "n/") for item in items] == [facts(utterance) for utterance in expected]
    assert len({item.id for item in items}) == len(items)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("tarred", [False, True])
def test_the_same_shards_give_the_same_bytes(shards, tmp_path, tarred):
    for name in ("one", "two"):
        write_nemo_manifest(shards, "train", tmp_path / name, tarred, tar_bytes=3000)
    assert contents(tmp_path / "one") == contents(tmp_path / "two") != {}


def test_the_form_of_files(shards, tmp_path):
    manifest = write_nemo_manifest(shards, "train", tmp_path / "nemo", tarred=False)
    assert manifest == tmp_path / "nemo/train_manifest.jsonl"
    first, second, *_ = [json.loads(line) for line in manifest.read_text("utf-8").split("\n")[:-1]]
    assert first == {
        "audio_filepath": "audio/train/0000000.flac",
        "duration": 1.25,
        "text": TEXTS[0],
        "lang": "de",
        "speaker": "cv/A",
        "source": "cv",
        "domain": "general",
        "segments": [{"start": 0.0, "end": 0.5, "text": "Er sagt"}, {"start": 0.5, "end": 1.25, "text": "und geht."}],
    }
    assert (second["text"], "speaker" in second, "segments" in second) == ("", False, False)
    assert sorted(contents(tmp_path / "nemo")) == [
        *(f"audio/train/{i:07d}.flac" for i in range(11)),
        "train_manifest.jsonl",
    ]


def test_the_form_of_tars(shards, tmp_path):
    manifest = write_nemo_manifest(shards, "train", tmp_path / "nemo", tarred=True, tar_bytes=3000)
    assert manifest == tmp_path / "nemo/train/tarred_audio_manifest.json"
    lines = [json.loads(line) for line in manifest.read_text("utf-8").split("\n")[:-1]]
    for line in lines:
        with tarfile.open(manifest.parent / f"audio_{line['shard_id']}.tar") as tar:
            member = tar.getmember(line["audio_filepath"])
            assert (member.mtime, member.uid, member.uname) == (0, 0, "")
    tars = sorted(manifest.parent.glob("*.tar"))
    assert [line["shard_id"] for line in lines] == sorted(line["shard_id"] for line in lines)
    assert {line["shard_id"] for line in lines} == set(range(len(tars)))
    assert len(tars) == 4  # 3 recordings of 1,200 bytes pass 3,000


def test_a_shorter_split_leaves_no_tar_of_a_longer_one(shards, tmp_path):
    write_nemo_manifest(shards, "train", tmp_path / "nemo", tarred=True, tar_bytes=1)
    write_nemo_manifest(shards, "train", tmp_path / "nemo", tarred=True, tar_bytes=3000)
    write_nemo_manifest(shards, "train", tmp_path / "new", tarred=True, tar_bytes=3000)
    assert contents(tmp_path / "nemo") == contents(tmp_path / "new")


@pytest.mark.parametrize("tarred", [False, True])
def test_a_full_disk_leaves_no_manifest(shards, tmp_path, tarred, on_a_full_disk):
    write_nemo_manifest(shards, "train", tmp_path / "nemo", tarred)
    code = f"""
from pathlib import Path
from asr.nemo_manifests import write_nemo_manifest
write_nemo_manifest(Path({str(shards)!r}), "train", Path({str(tmp_path / "nemo")!r}), {tarred})
"""
    assert "File too large" in on_a_full_disk(code, 1000)
    assert not any("manifest" in name and "partial" not in name for name in contents(tmp_path / "nemo"))


def test_a_split_that_is_not_there(shards, tmp_path):
    with pytest.raises(UserError, match="dev: no utterances"):
        write_nemo_manifest(shards, "dev", tmp_path / "nemo", tarred=False)
    assert not (tmp_path / "nemo").exists()
