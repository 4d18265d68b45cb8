"""Recordings without a transcript get the teacher's, every row is accounted for, and none reaches a training without one."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from ctranslate2.converters import TransformersConverter
from one_sentence import teach
from ruamel.yaml import YAML
from transformers import WhisperFeatureExtractor

import pseudo_label
from asr.audio import encode_flac
from asr.errors import UserError
from asr.model import save_whisper
from asr.new_model import new_whisper
from asr.params import ExtractFeatures, PseudoLabel
from asr.shards import ShardWriter
from asr.utterance import SPLITS, Utterance, columns, load_split
from asr.vocabulary import whisper_tokenizer

SAYS = {"teacher": "Schalte das Licht ein.", "agrees": "schalte das Licht ein", "differs": "Rühre den Teig."}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """`base` with the tokenizer, and a CTranslate2 folder for each of `SAYS`."""
    folder = tmp_path_factory.mktemp("teachers")
    tokenizer = whisper_tokenizer(80)
    for name, sentence in SAYS.items():
        model = new_whisper(mels=80, width=32, heads=2, encoder_layers=1, decoder_layers=1, seed=0)
        torch.manual_seed(0)
        teach(model, tokenizer, " " + sentence)
        save_whisper(folder / "base", model, tokenizer, WhisperFeatureExtractor())
        converter = TransformersConverter(
            str(folder / "base"), copy_files=["tokenizer.json", "preprocessor_config.json"]
        )
        converter.convert(str(folder / name))
    return folder


def prepared(folder, dev_labelled_by="corpus"):
    """Two labelled rows, one in which nobody speaks, three that nobody has transcribed, and dev."""
    rng = np.random.default_rng(0)

    def row(number, text, labelled_by, split="train", seconds=1.5):
        flac = encode_flac(rng.normal(0, 0.1, round(16000 * seconds)).astype(np.float32))
        spoken = Utterance(f"s/{number}", flac, text, "de", "x", "s", "d", split, seconds, origin="MLS")
        return spoken.row() | {"labelled_by": labelled_by}

    train = [
        row(0, "Licht an.", "corpus"),
        row(1, "", ""),
        row(2, "", "corpus"),
        row(3, "", ""),
        row(4, "Ja.", "corpus"),
    ]
    train.append(row(5, "", "", seconds=0.2))  # 22 characters in 0.2 s: nobody speaks so fast
    for split, rows in (
        ("train", train),
        ("dev", [row(6, "Nein." if dev_labelled_by else "", dev_labelled_by, "dev")]),
    ):
        with ShardWriter(folder / split, columns(), 10**9) as shards:
            for one in rows:
                shards.write(one)
    return folder


def params(made, folder, **changed) -> PseudoLabel:
    given = {
        "audio_dir": folder / "audio",
        "model_dir": made / "base",
        "teacher": made / "teacher",
        "max_disagreement": 0.1,
    }
    return PseudoLabel(**given | {"output_dir": folder / "out", "beam_size": 1} | changed)


def rows_of(folder, split="train"):
    return {row["id"]: row for row in load_split(folder / "out", split)}


def test_rows_without_a_transcript_get_the_teachers_and_every_row_is_accounted_for(made, tmp_path, capsys):
    before = {row["id"]: row for row in load_split(prepared(tmp_path / "audio"), "train")}
    pseudo_label.main(params(made, tmp_path))
    after = rows_of(tmp_path)
    assert list(after) == ["s/0", "s/1", "s/2", "s/3", "s/4"]  # in order
    for id in ("s/0", "s/2", "s/4"):
        assert after[id] == before[id]
    for id in ("s/1", "s/3"):
        assert after[id]["text"] == SAYS["teacher"] and after[id]["labelled_by"].startswith("teacher sha256:")
        kept = {name: value for name, value in after[id].items() if name not in ("text", "labelled_by")}
        assert kept == {name: before[id][name] for name in kept}  # the sound to the byte, and where it is from
    (rejected,) = map(json.loads, (tmp_path / "out/rejected.jsonl").read_text().splitlines())
    assert (rejected["id"], rejected["reason"]) == ("s/5", "characters_a_second")
    cell = json.loads((tmp_path / "out/stats.json").read_text())["s"]["train"]
    assert (cell["in"], cell["kept"], cell["rejected"]) == (6, 5, {"characters_a_second": 1})
    assert rows_of(tmp_path, "dev")["s/6"]["text"] == "Nein."
    assert not (tmp_path / "out/heard").exists()


@pytest.mark.parametrize(("second", "kept"), [("agrees", 5), ("differs", 3)])
def test_a_second_teacher_must_agree(made, tmp_path, second, kept):
    prepared(tmp_path / "audio")
    pseudo_label.main(params(made, tmp_path, second=made / second))
    assert len(rows_of(tmp_path)) == kept
    if second == "differs":
        reasons = [json.loads(line)["reason"] for line in (tmp_path / "out/rejected.jsonl").read_text().splitlines()]
        assert reasons == ["teachers_disagree"] * 3


def test_a_run_that_was_stopped_hears_nothing_twice(made, tmp_path, monkeypatch):
    prepared(tmp_path / "audio")
    monkeypatch.setattr(pseudo_label, "ROWS", 2)
    heard, stop_at = [], 1

    hear = pseudo_label.Teachers._by

    def counted(self, way, utterances):
        if len(heard) == 2 * stop_at:
            raise KeyboardInterrupt
        heard.append([utterance.id for utterance in utterances])
        return hear(self, way, utterances)

    monkeypatch.setattr(pseudo_label.Teachers, "_by", counted)
    with pytest.raises(KeyboardInterrupt):
        pseudo_label.main(params(made, tmp_path))
    assert heard == [["s/1"], ["s/1"]] and not (tmp_path / "out").exists()
    stop_at = 10
    pseudo_label.main(params(made, tmp_path))
    assert heard == [["s/1"], ["s/1"], ["s/3"], ["s/3"], ["s/5"], ["s/5"]]
    assert list(rows_of(tmp_path)) == ["s/0", "s/1", "s/2", "s/3", "s/4"]


def test_what_is_not_transcribed_is_neither_trained_on_nor_judged_by(made, tmp_path):
    import extract_features
    from asr.features import open_features

    prepared(tmp_path / "audio", dev_labelled_by="")
    given = {"audio_dir": tmp_path / "audio", "model_dir": made / "base", "batch_seconds": 30}
    unheard = r"s/\d: nobody has transcribed it yet; run the stage pseudo_label"
    for splits in (["train"], ["dev"]):
        with pytest.raises(UserError, match=unheard):
            extract_features.main(ExtractFeatures(output_dir=tmp_path / "features", splits=splits, **given))
    with pytest.raises(UserError, match=unheard):
        open_features(tmp_path / "audio", "train", 80)
    with pytest.raises(UserError, match=rf"dev: {unheard}"):
        pseudo_label.main(params(made, tmp_path))  # a model is not judged by what another has heard


def test_its_mistakes_are_one_message(made, tmp_path):
    prepared(tmp_path / "audio")
    with pytest.raises(UserError, match="nowhere: no such folder; give the folder of an exported model"):
        pseudo_label.main(params(made, tmp_path, teacher=tmp_path / "nowhere"))
    pseudo_label.main(params(made, tmp_path))
    with pytest.raises(UserError, match="every row has a transcript; set empty_text: unlabelled"):
        pseudo_label.main(params(made, tmp_path, audio_dir=tmp_path / "out", output_dir=tmp_path / "again"))


def test_a_folder_of_recordings_goes_all_the_way(made, tmp_path):
    """From files that nobody has transcribed, by prepare_audio's command line, to rows with a transcript."""
    import soundfile

    rng = np.random.default_rng(1)
    for split, number in (("train", 0), ("train", 1), ("dev", 2)):
        (tmp_path / f"corpus/{split}").mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / f"corpus/{split}/{number}.wav", rng.normal(0, 0.1, 24000), 16000)
    (tmp_path / "corpus/dev/metadata.csv").write_text("file_name,transcription\n2.wav,Ja.\n")
    sources = {
        "talks": {"corpus": "audiofolder", "path": str(tmp_path / "corpus"), "language": "de", "domain": "d",
                  "splits": {"train": "train"}, "text_column": "", "empty_text": "unlabelled"},
        "read": {"corpus": "audiofolder", "path": str(tmp_path / "corpus"), "language": "de", "domain": "d", "splits": {"dev": "dev"}},
    }  # fmt: skip
    command = [
        sys.executable, "scripts/prepare_audio.py", "--output_dir", str(tmp_path / "audio"), "--sources", json.dumps(sources),
        "--model_dir", str(made / "base"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {row["labelled_by"] for row in load_split(tmp_path / "audio", "train")} == {""}
    pseudo_label.main(params(made, tmp_path))
    assert {row["text"] for row in rows_of(tmp_path).values()} == {SAYS["teacher"]}


@pytest.mark.slow
def test_the_recipe_runs_it_between_the_audio_and_the_features(made, repository):
    """By DVC, with its own params.yaml but for the sizes; a second run has nothing to do."""
    import soundfile

    recipe = repository / "recipes/distilled_de"
    values = YAML().load(recipe / "params.yaml")
    new = {"seed": 0, "mels": 80, "width": 32, "heads": 2, "encoder_layers": 1, "decoder_layers": 1}
    values["base_model"] = {"output_dir": "outputs/base_model", "source": "new", "new": new}
    read = {"corpus": "audiofolder", "path": "data/read", "language": "de", "domain": "general"}
    values["prepare_audio"]["sources"]["common_voice"] = read | {"splits": {name: name for name in SPLITS}}
    YAML().dump(values, recipe / "params.yaml")
    rng = np.random.default_rng(1)
    for file in ("recordings/0.wav", "recordings/deep/1.wav", "read/train/2.wav", "read/dev/3.wav", "read/test/4.wav"):
        (recipe / "data" / file).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(recipe / "data" / file, rng.normal(0, 0.1, 24000), 16000)
    for split, number in (("train", 2), ("dev", 3), ("test", 4)):
        (recipe / f"data/read/{split}/metadata.csv").write_text(f"file_name,transcription\n{number}.wav,Ja {number}.\n")
    shutil.copytree(made / "teacher", recipe / "data/teacher")

    def repro() -> str:
        done = subprocess.run(["dvc", "repro", "extract_features"], cwd=recipe, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "Running stage 'pseudo_label'" in repro()
    taught = load_split(recipe / "outputs/extract_features", "train")
    assert sorted(taught["text"]) == ["Ja 2.", SAYS["teacher"], SAYS["teacher"]]
    assert "Running stage" not in repro()
