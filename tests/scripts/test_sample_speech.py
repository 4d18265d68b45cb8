"""Laws of the synthetic corpus: nothing that is judged on was seen in training, and the seed decides every byte."""

import csv
import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile

import sample_speech
from asr.errors import UserError
from asr.params import SampleSpeech
from asr.params_file import read_params
from asr.sentences import split_sentences, words

REPOSITORY = Path(__file__).parents[2]
PARAMS = read_params(REPOSITORY / "params.yaml").sample_speech
SMALL = dict(
    seed=3, train_clips=90, dev_clips=2, test_clips=3, domain_train_clips=60, train_voices=5, held_out_voices=2,
    long_recordings=2, long_sentences=3, noise_clips=7,
)  # fmt: skip


def plan(params: SampleSpeech) -> list[sample_speech.Clip]:
    return sample_speech.speech_clips(params, sample_speech.divide_voices(params)) + sample_speech.noise_clips(params)


def part(clips: list[sample_speech.Clip], corpus: str, split: str) -> list[sample_speech.Clip]:
    return [clip for clip in clips if (clip.corpus, clip.split) == (corpus, split)]


def table(folder: Path, corpus: str, name: str) -> list[dict]:
    with (folder / corpus / "de" / f"{name}.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def clips():
    """The default recipe's whole plan."""
    return plan(PARAMS)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus") / "sample_speech"
    sample_speech.main(SampleSpeech(output_dir=folder, **SMALL))
    return folder


# ------------------------------------------------------------------------------------------- the default recipe's plan


def test_every_clip_asked_for_is_there(clips):
    assert Counter((clip.corpus, clip.split) for clip in clips) == {
        ("general", "train"): PARAMS.train_clips,
        ("general", "dev"): PARAMS.dev_clips,
        ("general", "test"): PARAMS.test_clips,
        ("domain", "train"): PARAMS.domain_train_clips,
        ("domain", "dev"): PARAMS.dev_clips,
        ("domain", "test"): PARAMS.test_clips,
        ("long", "test"): PARAMS.long_recordings,
        ("noise", "train"): PARAMS.noise_clips,
    }
    assert len({clip.file for clip in clips}) == len(clips)


def test_a_sentence_that_is_judged_on_occurs_once(clips):
    spoken = Counter(sentence for clip in clips for sentence in split_sentences(clip.sentence))
    judged = {sentence for clip in clips if clip.split != "train" for sentence in split_sentences(clip.sentence)}
    assert {sentence: spoken[sentence] for sentence in judged} == dict.fromkeys(judged, 1)


def test_no_voice_occurs_in_two_parts(clips):
    parts = [part(clips, corpus, split) for corpus in ("general", "domain") for split in ("train", "dev", "test")]
    voices = [{clip.sound for clip in p} for p in parts]
    assert [len(v) for v in voices] == [PARAMS.train_voices] + 5 * [PARAMS.held_out_voices]
    assert len(set.union(*voices)) == sum(map(len, voices))
    assert {clip.sound for clip in part(clips, "long", "test")} <= voices[2]


@pytest.mark.parametrize("corpus, judged", [("general", ("general", "long")), ("domain", ("domain",))])
def test_every_word_judged_on_is_in_training(clips, corpus, judged):
    known = Counter(word for clip in part(clips, corpus, "train") for word in words(clip.sentence))
    for other in judged:
        for split in ("dev", "test"):
            for clip in part(clips, other, split):
                assert all(known[word] >= sample_speech.MIN_OCCURRENCES for word in words(clip.sentence)), clip


def test_training_sentences_are_as_many_for_each_voice(clips):
    counts = Counter(clip.sound for clip in part(clips, "general", "train")).values()
    assert max(counts) - min(counts) <= 1


def test_a_long_recording_has_its_number_of_sentences(clips):
    for clip in part(clips, "long", "test"):
        assert len(split_sentences(clip.sentence)) == PARAMS.long_sentences


def test_another_seed_is_another_corpus(clips):
    other = plan(PARAMS.model_copy(update={"seed": PARAMS.seed + 1}))
    for split in ("train", "test"):
        ours, theirs = part(clips, "general", split), part(other, "general", split)
        assert [clip.sentence for clip in ours] != [clip.sentence for clip in theirs]
        assert {clip.sound for clip in ours} != {clip.sound for clip in theirs}


@pytest.mark.parametrize("seed", [2, 3, 4, 5])
def test_any_seed_finds_its_sentences(seed):
    assert len(plan(PARAMS.model_copy(update={"seed": seed})))


# ---------------------------------------------------------------------------------------------------------- on the disk


def test_the_layout_is_common_voices(corpus):
    assert sorted(path.name for path in corpus.iterdir()) == ["domain", "general", "long", "noise"]
    for folder in corpus.iterdir():
        assert sorted(path.name for path in (folder / "de").iterdir()) == [
            "clips", "dev.tsv", "test.tsv", "train.tsv", "validated.tsv",
        ]  # fmt: skip
        rows = [row for split in ("train", "dev", "test") for row in table(corpus, folder.name, split)]
        assert table(corpus, folder.name, "validated") == rows
        assert sorted(row["path"] for row in rows) == sorted(path.name for path in (folder / "de" / "clips").iterdir())
        assert all(row["locale"] == "de" and len(row["client_id"]) == 128 for row in rows)


def test_the_columns_are_common_voices(corpus):
    real = REPOSITORY.parent / "shared" / "data" / "common_voice_de" / "validated.tsv"
    if not real.exists():
        pytest.skip(f"{real}: the real recordings are not on this machine")
    header = real.read_text(encoding="utf-8").partition("\n")[0]
    for path in corpus.rglob("*.tsv"):
        assert path.read_text(encoding="utf-8").partition("\n")[0] == header


def test_only_the_splits_that_a_corpus_is_for_are_filled(corpus):
    assert [len(table(corpus, "long", split)) for split in ("train", "dev", "test")] == [0, 0, 2]
    assert [len(table(corpus, "noise", split)) for split in ("train", "dev", "test")] == [7, 0, 0]


def test_clips_are_mono_audible_and_of_the_right_length(corpus):
    for name, shortest, longest in (("general", 0.9, 5), ("domain", 0.9, 5), ("long", 4, 20), ("noise", 1, 5)):
        for path in (corpus / name / "de" / "clips").iterdir():
            samples, rate = soundfile.read(path)
            assert (samples.ndim, rate, path.suffix, soundfile.info(path).format) == (1, 22_050, ".flac", "FLAC")
            assert shortest <= len(samples) / rate <= longest, path.name
            if name != "noise":
                assert 0.1 < abs(samples).max() <= 1.0


def test_nobody_speaks_in_noise(corpus):
    rows = table(corpus, "noise", "train")
    assert all(row["sentence"] == "" for row in rows)
    assert len({row["client_id"] for row in rows}) == len(rows)
    speakers = {row["client_id"] for name in ("general", "domain", "long") for row in table(corpus, name, "validated")}
    assert speakers.isdisjoint(row["client_id"] for row in rows)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_same_params_give_the_same_bytes(corpus, tmp_path, monkeypatch, workers):
    monkeypatch.setenv("WORKERS", workers)
    again = tmp_path / "again"
    sample_speech.main(SampleSpeech(output_dir=again, **SMALL))
    assert digests(again) == digests(corpus)


def test_a_clip_does_not_depend_on_the_others(corpus, tmp_path):
    params = SampleSpeech(output_dir=corpus, **SMALL)
    clip = part(plan(params), "general", "test")[2]
    sample_speech.record([clip], tmp_path, params.seed)
    alone = tmp_path / "general" / "de" / "clips" / clip.file
    assert alone.read_bytes() == (corpus / "general" / "de" / "clips" / clip.file).read_bytes()
    sample_speech.record([replace(clip, sound="de+Alex")], other := tmp_path / "other", params.seed)
    assert alone.read_bytes() != (other / "general" / "de" / "clips" / clip.file).read_bytes()


# ------------------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_voices": 100}, r"train_voices 100 \+ 5 x held_out_voices 2 are 110 .* lower"),
        ({"dev_clips": 100_000}, r"general: found only .* of 100000 new sentences for dev; .* fewer clips of dev"),
        ({"train_clips": 1}, r"general: found only .* for dev; .* more of train"),
    ],
    ids=["too many voices", "more clips than sentences", "too few training clips"],
)
def test_what_the_user_can_mend(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        sample_speech.main(SampleSpeech(output_dir=tmp_path / "x", **SMALL | change))
    assert not (tmp_path / "x").exists()


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, on_a_full_disk):
    code = (
        "from test_sample_speech import *\n"
        f"sample_speech.main(SampleSpeech(output_dir=Path({str(tmp_path)!r}) / 'x', **SMALL))"
    )
    assert "OSError: [Errno 27] File too large" in on_a_full_disk(code, limit=20_000)
    assert not list(tmp_path.iterdir())
