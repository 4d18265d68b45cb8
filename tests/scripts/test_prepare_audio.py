"""Every row is kept or rejected with its reason, whatever the number of workers, and a failed run leaves nothing."""

import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from every_corpus import SENTENCES, write_one_of_each

import prepare_audio
from asr.audio import decode
from asr.errors import UserError
from asr.params import CORPORA, PrepareAudio
from asr.utterance import load_split
from asr.vocabulary import whisper_tokenizer

REPOSITORY = Path(__file__).parents[2]
SHARED = REPOSITORY.parent / "shared" / "data"
HEADER = "client_id\tpath\tsentence\n"


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    whisper_tokenizer(80).save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def one_worker(monkeypatch):
    monkeypatch.setenv("WORKERS", "1")


def add_clip(corpus: Path, name: str, seconds: float, loudness: float = 0.1, seed: int = 0) -> None:
    (corpus / "clips").mkdir(parents=True, exist_ok=True)
    samples = loudness * np.random.default_rng(seed).uniform(-1, 1, round(seconds * 8000))
    soundfile.write(corpus / "clips" / name, samples, 8000)


def make(corpus: Path, **rows: str) -> Path:
    """A corpus whose three good clips are one in each split; `rows` are added to the splits."""
    for number, split in enumerate(("train", "dev", "test")):
        add_clip(corpus, f"{split}.wav", 1.0, seed=number)
        good = f"S{number}\t{split}.wav\tGru\u0308n  ist das {split}.\n"
        (corpus / f"{split}.tsv").write_text(HEADER + good + rows.get(split, ""), encoding="utf-8")
    return corpus


def run(folder: Path, model_dir: Path, sources: dict, **changes) -> Path:
    fields = {"language": "de", "domain": "d"}
    of_common_voice = {"corpus": "common_voice", "splits": "official"}
    values = {
        "output_dir": folder / "out",
        "sources": {
            name: fields | ({} if "corpus" in source else of_common_voice) | source for name, source in sources.items()
        },
        "speaker_split": {"seed": 0, "dev_share": 0.1, "test_share": 0.1},
        "model_dir": model_dir,
        "min_seconds": 0.3,
        "min_peak": 0.001,
        "max_tokens": 40,
        "shard_megabytes": 500,
    }
    prepare_audio.main(PrepareAudio(**values | changes))
    return folder / "out"


def rejections(out: Path) -> dict[str, str]:
    rows = [json.loads(line) for line in (out / "rejected.jsonl").read_text(encoding="utf-8").splitlines()]
    assert all(row.keys() == {"id", "source", "split", "reason", "detail"} and row["detail"] for row in rows)
    return {row["id"]: row["reason"] for row in rows}


def assert_sums(out: Path) -> None:
    for splits in json.loads((out / "stats.json").read_text()).values():
        for cell in splits.values():
            assert cell["in"] == cell["kept"] + sum(cell["rejected"].values())


def assert_nothing_looks_whole(folder: Path) -> None:
    """What is left is at most what slices have become, for the next run."""
    assert not (folder / "out").exists()
    assert {path.name for path in folder.glob("out.partial/*")} <= {"parts"}


def test_a_good_row_becomes_flac_with_clean_text(tmp_path, model_dir):
    out = run(tmp_path, model_dir, {"a": {"path": make(tmp_path / "a")}})
    row = load_split(out, "train")[0]
    waveform = decode(row.pop("audio"))
    assert row == {
        "id": "a/train.wav",
        "text": "Grün ist das train.",
        "language": "de",
        "speaker": "common_voice/S0",
        "source": "a",
        "domain": "d",
        "split": "train",
        "seconds": 1.0,
        "segments": [],
        "origin": "",
        "task": "transcribe",
        "labelled_by": "corpus",
    }
    assert len(waveform) == 16_000
    assert json.loads((out / "stats.json").read_text())["a"]["train"] == {
        "in": 1,
        "kept": 1,
        "rejected": {},
        "hours": 0.0003,
        "speakers": 1,
    }


def test_each_check_has_its_reason_and_the_run_goes_on(tmp_path, model_dir):
    corpus = tmp_path / "a"
    names = {"corrupt": 1, "short": 0.2, "long": 30.1, "silent": 1, "wordy": 1, "control": 1, "empty": 1, "edge": 30.0}
    for seed, (name, seconds) in enumerate(names.items(), 10):
        add_clip(corpus, f"{name}.wav", seconds, 0.0005 if name == "silent" else 0.1, seed)
    (corpus / "clips" / "corrupt.wav").write_bytes(b"RIFF, or so it says")
    texts = {"wordy": "Donaudampfschifffahrt " * 20, "empty": " ", "control": "<|de|>" * 10, "edge": "<|nospeech|>"}
    rows = "".join(f"S\t{name}.wav\t{texts.get(name, 'Ja.')}\n" for name in names)
    rows += "S\tgone.wav\tJa.\n" + "S\tedge.wav\t<|nospeech|>\n"
    (corpus / "clips" / "copy.wav").write_bytes((corpus / "clips" / "edge.wav").read_bytes())
    rows += "S\tcopy.wav\t<|nospeech|>\n"
    out = run(tmp_path, model_dir, {"a": {"path": make(corpus, train=rows)}})
    assert rejections(out) == {
        "a/corrupt.wav": "unreadable_audio",
        "a/short.wav": "too_short",
        "a/long.wav": "too_long",
        "a/silent.wav": "silent",
        "a/wordy.wav": "too_many_tokens",
        "a/control.wav": "too_many_tokens",  # 60 characters of text, not 10 control tokens
        "a/empty.wav": "empty_text",
        "a/gone.wav": "missing_clip",
        "a/edge.wav": "duplicate_row",  # the second of two rows
        "a/copy.wav": "duplicate_audio",
    }
    assert_sums(out)
    assert load_split(out, "train")["id"][:] == ["a/train.wav", "a/edge.wav"]


def test_no_speech_may_be_silent_and_long_ones_are_for_test_alone(tmp_path, model_dir):
    noise, long = tmp_path / "noise", tmp_path / "long"
    add_clip(noise, "silence.wav", 2.0, loudness=0.0)
    make(noise, train="S\tsilence.wav\t\n")
    add_clip(long, "minute.wav", 60.0)
    make(long, train="S\tminute.wav\tEine ganze Minute.\n", test="T\tminute.wav\tEine ganze Minute.\n")
    sources = {"noise": {"path": noise, "empty_text": "no_speech"}, "long": {"path": long, "max_seconds": 600}}
    out = run(tmp_path, model_dir, sources)
    assert "noise/silence.wav" in load_split(out, "train")["id"][:]
    assert "long/minute.wav" in load_split(out, "test")["id"][:]
    assert rejections(out) == {"long/minute.wav": "too_long"}


def test_the_result_does_not_depend_on_the_number_of_workers(tmp_path, model_dir, monkeypatch):
    rows = ""
    for number in range(40):
        add_clip(tmp_path / "a", f"{number}.wav", 0.2 + number / 20, seed=100 + number)
        rows += f"S\t{number}.wav\tSatz {number}.\n"
    make(tmp_path / "a", train=rows)
    contents = []
    for workers in "13":
        monkeypatch.setenv("WORKERS", workers)
        out = run(tmp_path, model_dir, {"a": {"path": tmp_path / "a"}}, output_dir=tmp_path / "out")
        contents.append({path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()})
    assert contents[0] == contents[1]
    assert {str(path) for path in contents[0]} == {
        *(f"{split}/00000.arrow" for split in ("train", "dev", "test")),
        *("rejected.jsonl", "stats.json", "leaks.json"),
        *(f"card/{name}" for name in ("card.md", "card.html", "durations.csv", "characters_a_second.csv")),
    }


def clips_for_training(corpus: Path, count: int, seconds: float = 0.5) -> Path:
    rows = ""
    for number in range(count):
        add_clip(corpus, f"{number}.wav", seconds, seed=100 + number)
        rows += f"T\t{number}.wav\tSatz {number}.\n"
    return make(corpus, train=rows)


def contents_of(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("stop", "workers"), [(signal.SIGKILL, "2"), (signal.SIGINT, "1")])
def test_a_run_that_is_stopped_anywhere_goes_on_and_ends_the_same(tmp_path, model_dir, monkeypatch, stop, workers):
    """Stopped later and later, until it ends by itself; every run that was stopped leaves more parts."""
    monkeypatch.setenv("WORKERS", workers)
    corpus = clips_for_training(tmp_path / "a", 400, seconds=2.0)
    expected = contents_of(run(tmp_path, model_dir, {"a": {"path": corpus}}))
    shutil.rmtree(tmp_path / "out")
    code = (
        "from pathlib import Path; from test_prepare_audio import run\n"
        f"run(Path({str(tmp_path)!r}), Path({str(model_dir)!r}), {{'a': {{'path': {str(corpus)!r}}}}})"
    )
    path = os.pathsep.join([str(Path(__file__).parent), str(REPOSITORY / "scripts")])
    parts = tmp_path / "out.partial/parts"
    stopped, patience, left = 0, 1, 0
    for _ in range(10):
        if (tmp_path / "out").exists():
            if stopped >= 2:
                break
            shutil.rmtree(tmp_path / "out")  # it was quicker than this test, on a busy machine
            left, patience = 0, 1
        process = subprocess.Popen(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path}, stderr=subprocess.DEVNULL, stdout=-3
        )
        while process.poll() is None and len(list(parts.glob("[!.]*.arrow"))) < patience:
            time.sleep(0.002)
        if process.poll() is None:
            process.send_signal(stop)
            stopped += 1
        process.wait()
        assert len(list(parts.glob("[!.]*.arrow"))) >= left or (tmp_path / "out").exists()
        left, patience = len(list(parts.glob("[!.]*.arrow"))), patience + 3
    assert stopped >= 2
    assert contents_of(tmp_path / "out") == expected


def test_a_ray_cluster_gives_the_same_bytes(tmp_path, model_dir, monkeypatch):
    pytest.importorskip("ray", reason="no Ray: python -m pip install -r requirements_cluster.txt")
    monkeypatch.setenv("WORKERS", "2")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    corpus = clips_for_training(tmp_path / "a", 150)
    expected = contents_of(run(tmp_path, model_dir, {"a": {"path": corpus}}))
    assert contents_of(run(tmp_path, model_dir, {"a": {"path": corpus}}, executor="ray")) == expected


def test_a_part_is_made_anew_when_its_recording_text_or_limit_changes(tmp_path, model_dir):
    corpus = clips_for_training(tmp_path / "a", 3)
    sources = {"a": {"path": corpus}}
    parts = []

    def made(**changes) -> int:
        """Parts that were not there before; a run whose test split is empty leaves its parts."""
        (corpus / "test.tsv").write_text(HEADER + "S\tnone.wav\tJa.\n", encoding="utf-8")
        with pytest.raises(UserError, match="nothing left of split test"):
            run(tmp_path, model_dir, sources, **changes)
        now = sorted((tmp_path / "out.partial/parts").glob("*.arrow"))
        new = [part for part in now if part not in parts]
        parts.extend(new)
        return len(new)

    assert [made(), made()] == [1, 0]
    add_clip(corpus, "1.wav", 0.5, seed=7)
    assert [made(), made()] == [1, 0]
    (corpus / "train.tsv").write_text(HEADER + "T\t0.wav\tEtwas anderes.\n", encoding="utf-8")
    assert [made(), made()] == [1, 0]
    assert [made(min_seconds=0.1), made(min_seconds=0.1)] == [1, 0]
    assert made(text={"ru": {"lower_case": True}}) == 1


def test_shards_are_cut_at_their_size_and_read_in_order(tmp_path, model_dir):
    rows = ""
    for number in range(30):
        add_clip(tmp_path / "a", f"{number}.wav", 10.0, seed=100 + number)
        rows += f"S\t{number}.wav\tSatz {number}.\n"
    out = run(tmp_path, model_dir, {"a": {"path": make(tmp_path / "a", train=rows)}}, shard_megabytes=1)
    shards = sorted((out / "train").glob("*.arrow"))
    assert len(shards) > 3
    assert all(shard.stat().st_size < 2e6 for shard in shards)
    assert load_split(out, "train")["id"][:] == ["a/train.wav", *(f"a/{number}.wav" for number in range(30))]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda corpus: (corpus / "clips" / "dev.wav").unlink(),
            r"(?s)split dev: 1 rows in, rejected: 1 missing_clip;.* such as a/dev.wav: ",
        ),
        (lambda corpus: (corpus / "train.tsv").unlink(), "no source has a split train, only"),
        (
            lambda corpus: [path.write_text(HEADER) for path in corpus.glob("*.tsv")],
            "source a: the corpus has no rows",
        ),
        (lambda corpus: corpus.rename(corpus.with_name("b")), "a: no such file or folder"),
    ],
    ids=["all rejected", "no train", "no rows", "no folder"],
)
def test_an_empty_split_is_an_error_and_leaves_nothing(tmp_path, model_dir, spoil, message):
    spoil(make(tmp_path / "a"))
    with pytest.raises(UserError, match=message):
        run(tmp_path, model_dir, {"a": {"path": tmp_path / "a"}})
    assert_nothing_looks_whole(tmp_path)


def test_a_split_by_speaker_that_leaves_one_empty_is_an_error(tmp_path, model_dir):
    corpus = make(tmp_path / "a")
    (corpus / "train.tsv").rename(corpus / "validated.tsv")
    with pytest.raises(UserError, match=r"no rows for split .*, only 1 rows in .*the seed of speaker_split"):
        run(tmp_path, model_dir, {"a": {"path": corpus, "splits": "speaker"}})


def test_no_tokenizer(tmp_path):
    with pytest.raises(UserError, match=r"tokenizer.json: no such file; run the stage base_model first"):
        run(tmp_path, tmp_path, {"a": {"path": make(tmp_path / "a")}})


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, model_dir, on_a_full_disk):
    rows = ""
    for number in range(20):
        add_clip(tmp_path / "a", f"{number}.wav", 10.0, seed=number)
        rows += f"S\t{number}.wav\tSatz {number}.\n"
    make(tmp_path / "a", train=rows)
    code = (
        "from pathlib import Path; from test_prepare_audio import run\n"
        f"run(Path({str(tmp_path)!r}), Path({str(model_dir)!r}), {{'a': {{'path': {str(tmp_path / 'a')!r}}}}})"
    )
    assert "File too large" in on_a_full_disk(code, limit=1_000_000)
    assert_nothing_looks_whole(tmp_path)


def test_real_recordings_are_all_accounted_for(tmp_path, model_dir):
    if not SHARED.is_dir():
        pytest.skip(f"no real recordings in {SHARED}")
    source = {"path": SHARED / "common_voice_de", "splits": "speaker"}
    out = run(tmp_path, model_dir, {"de": source}, max_tokens=440)
    stats = json.loads((out / "stats.json").read_text())["de"]
    assert sum(cell["in"] for cell in stats.values()) == 100
    assert_sums(out)
    assert rejections(out) == {}
    speakers = [set(load_split(out, split)["speaker"][:]) for split in ("train", "dev", "test")]
    assert not (speakers[0] & speakers[1] or speakers[0] & speakers[2] or speakers[1] & speakers[2])


@pytest.fixture
def run_command(tmp_path, monkeypatch, capsys):
    """Run the script with flags, as a user does, in a folder with the sample's params.yaml."""

    def run(*flags: str) -> tuple[int, str, str]:
        shutil.copy(REPOSITORY / "params.yaml", tmp_path)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["prepare_audio.py", *flags])
        status = 0
        try:
            runpy.run_path(str(REPOSITORY / "scripts/prepare_audio.py"), run_name="__main__")
        except SystemExit as ended:
            status = ended.code
        return status, *capsys.readouterr()

    return run


def test_the_russian_guides_command_keeps_working(tmp_path, run_command):
    """Its form of Golos: TSV of path and text, no base model, no split; and it reads NeMo manifests afterwards."""
    lines = ""
    for number in range(60):
        add_clip(tmp_path / "golos_raw", f"{number}.wav", 1.0, seed=number)
        lines += f"clips/{number}.wav\tпривет номер {number}\n"
    lines += "clips/none.wav\tнет\n"
    (tmp_path / "golos_raw/train.tsv").write_text(lines, encoding="utf-8")
    flags = ["--dataset", "golos", "--input", "./golos_raw", "--output", "./golos_prepared"]
    status, said, errors = run_command(*flags)
    assert status in (0, None), errors
    out = tmp_path / "golos_prepared"
    manifests = {name: (out / f"{name}_manifest.jsonl").read_text(encoding="utf-8") for name in ("train", "val")}
    rows = [json.loads(line) for text in manifests.values() for line in text.splitlines()]
    assert len(rows) == 60
    assert manifests["val"]
    for row in rows:
        assert row["text"].startswith("привет номер ")
        assert soundfile.info(out / row["audio_filepath"]).samplerate == 16_000
        assert row["duration"] == pytest.approx(1.0)
    assert rejections(out) == {"golos/clips/none.wav": "missing_clip"}
    assert "1 missing_clip" in said


def test_a_flag_that_is_none_is_said(run_command):
    status, _, errors = run_command("--dataset", "golos", "--input", "./nowhere", "--output", "./out")
    assert status == 1
    assert "nowhere: no such file or folder" in errors


def test_every_reader_goes_all_the_way(tmp_path, model_dir):
    """One small corpus a reader, of the same sentences: every row is accounted for, and every text arrives."""
    sources = write_one_of_each(tmp_path)
    everything = {"seed": 0, "dev_share": 0.0, "test_share": 0.0, "unknown": "by_clip"}
    assert {source["corpus"] for source in sources.values()} == set(CORPORA) - {"hugging_face"}
    out = run(tmp_path, model_dir, sources, max_tokens=440, leaks=[], speaker_split=everything)
    stats = json.loads((out / "stats.json").read_text())
    assert_sums(out)
    for name in sources:
        assert sum(cell["kept"] for cell in stats[name].values()) == 3, name
        assert sum(cell["in"] for cell in stats[name].values()) == 3, name
    rows = [row for split in ("train", "dev", "test") if (out / split).is_dir() for row in load_split(out, split)]
    texts = {(row["source"], row["text"]) for row in rows}
    joined = {("aishell", text.replace(" ", "")) for text in SENTENCES}  # its words are written apart
    assert texts == joined | {(name, text) for name in sources if name != "aishell" for text in SENTENCES}
    assert all(abs(row["seconds"] - 1.0) < 0.1 for row in rows)
