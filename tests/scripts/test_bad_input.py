"""What is broken is one message and leaves nothing behind, whichever program meets it; no number comes of it.

Half of a file in each form, and what `transcribe` makes of recordings: test_transcribe.py. Texts that do not pair:
test_text_pairs.py. Weights that are not finite, added tokens: the tests of each conversion.
"""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
from ctranslate2.converters import TransformersConverter
from datasets import Dataset
from one_sentence import teach
from safetensors.torch import load_file, save_file
from transformers import WhisperFeatureExtractor

import convert_to_faster
import convert_to_ggml
import convert_to_onnx
import evaluation
import transcribe
from asr.audio import encode_flac
from asr.errors import UserError
from asr.ggml import write_ggml
from asr.model import save_whisper
from asr.new_model import new_whisper
from asr.params import ConvertToFaster, ConvertToGgml, ConvertToOnnx, Evaluation
from asr.utterance import Utterance, columns
from asr.vocabulary import whisper_tokenizer
from asr.whisper_cpp import open_in_child

SAYS = "Schalte das Licht ein."
NOISE = np.random.default_rng(0).normal(0, 0.1, 8_000).astype(np.float32)
PROGRAMS = ("evaluation", "convert_to_faster", "convert_to_ggml", "convert_to_onnx", "transcribe")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A Whisper that says `SAYS`, `base`, its exports `faster/float32` and `ggml/f16`, `audio` and `clip.wav`."""
    folder = tmp_path_factory.mktemp("bad")
    tokenizer = whisper_tokenizer(80)
    model = new_whisper(mels=80, width=32, heads=2, encoder_layers=1, decoder_layers=1, seed=0)
    torch.manual_seed(0)
    teach(model, tokenizer, " " + SAYS)
    save_whisper(folder / "base", model, tokenizer, WhisperFeatureExtractor())
    files = ["tokenizer.json", "preprocessor_config.json"]
    TransformersConverter(str(folder / "base"), copy_files=files).convert(str(folder / "faster/float32"))
    (folder / "ggml/f16").mkdir(parents=True)
    write_ggml(folder / "base", folder / "ggml/f16/ggml-model.bin", "f16")
    soundfile.write(folder / "clip.wav", NOISE, 16_000)
    write(folder / "audio", [utterance("0"), utterance("1")])
    return folder


def utterance(id, text=SAYS, sound=NOISE, speaker="s", source="general", language="de"):
    flac = sound if isinstance(sound, bytes) else encode_flac(sound)
    seconds = 0.5 if isinstance(sound, bytes) else len(sound) / 16_000
    return Utterance(f"general/{id}", flac, text, language, speaker, source, "home", "test", seconds)


def write(audio_dir, utterances):
    """prepare_audio's folder with this test split."""
    Dataset.from_list([of.row() for of in utterances], features=columns()).save_to_disk(audio_dir / "saved")
    (audio_dir / "test").mkdir()
    next((audio_dir / "saved").glob("*.arrow")).rename(audio_dir / "test/00000.arrow")
    return audio_dir


def evaluate(made, out, **changed):
    values = {
        "output_dir": out, "audio_dir": made / "audio", "models": {"base_model": made / "base"}, "exports": {},
        "test_sets": ["general"], "engine_test_sets": [], "long_test_sets": [], "batch": 2, "beam_size": 1, "gates": [],
    }  # fmt: skip
    evaluation.main(Evaluation(**values | changed))
    return json.loads((out / "metrics.json").read_text())


def run(program, made, model, out):
    """A program, given a model in the form of transformers."""
    if program == "evaluation":
        evaluate(made, out, models={"tuned": model})
    elif program == "convert_to_faster":
        values = {"quantizations": ["float32"], "chunk_seconds": 30}
        convert_to_faster.main(ConvertToFaster(model_dir=model, output_dir=out, **values))
    elif program == "convert_to_ggml":
        convert_to_ggml.main(ConvertToGgml(model_dir=model, output_dir=out, types=["f16"]))
    elif program == "convert_to_onnx":
        convert_to_onnx.main(ConvertToOnnx(model_dir=model, output_dir=out, dtypes=["float32"]))
    else:
        flags = (made / "clip.wav", "--model", model, "--language", "de", "--output_dir", out, "--speech_threshold", 0)
        transcribe.main(transcribe.parse([str(flag) for flag in flags]))


def changed(made, folder, name, change):
    shutil.copytree(made / name, folder / "damaged")
    change(folder / "damaged")
    return folder / "damaged"


def edit(file, **values):
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def deeper(folder):
    """As many layers in the weights as 3 models have, where config.json knows of one."""
    weights = load_file(folder / "model.safetensors")
    more = {
        name.replace("layers.0", "layers.2"): weight.clone() for name, weight in weights.items() if "layers.0" in name
    }
    save_file(weights | more, folder / "model.safetensors", {"format": "pt"})


WEIGHTS = "model.safetensors"
MODELS = {
    "no model": (
        lambda f: [path.unlink() for path in f.iterdir()],
        "no config.json here|no model; expected config.json",
    ),
    "another model": (lambda f: edit(f / "config.json", model_type="gpt2"), "'gpt2', not 'whisper'; only a Whisper"),
    "half a download": (
        lambda f: (f / WEIGHTS).rename(f / f"{WEIGHTS}.incomplete"),
        rf"{WEIGHTS}\.incomplete( is|:) half a download",
    ),
    "Git LFS's pointer": (
        lambda f: (f / WEIGHTS).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 6171927\n"),
        f"{WEIGHTS}: stands for a file that Git LFS did not fetch; run git lfs pull|{WEIGHTS}: header cannot be read",
    ),
    "a shard is missing": (
        lambda f: (
            (f / WEIGHTS)
            .rename(f / f"{WEIGHTS}.index.json")
            .write_text(
                '{"metadata": {}, "weight_map": {"model.encoder.conv1.weight": "model-00001-of-00002.safetensors"}}'
            )
        ),
        "model-00001-of-00002.safetensors|cannot be read",
    ),
    "fewer weights than config.json": (
        lambda f: edit(f / "config.json", decoder_layers=3),
        r"they lack: model\.decoder\.layers\.1.*and \d+ more; make or copy|layers\.1\S+ cannot be read",
    ),
    "more weights than config.json": (
        deeper,
        r"have too many: model\..*layers\.2|the weights have model\.\S+layers\.2",
    ),
    "weights of another width": (
        lambda f: edit(f / "config.json", d_model=64, encoder_ffn_dim=256, decoder_ffn_dim=256),
        r"are of another shape: model\.\S+ \[32.*\], not \[64|another shape",
    ),
    "a broken generation config": (lambda f: (f / "generation_config.json").write_text("{"), "Whisper's own is taken"),
    "a list for a generation config": (lambda f: (f / "generation_config.json").write_text("[]"), "no JSON object"),
}


@pytest.mark.parametrize("damage", MODELS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_broken_model_is_one_message_and_nothing_is_made(made, tmp_path, program, damage):
    change, says = MODELS[damage]
    model = changed(made, tmp_path, "base", change)
    with pytest.raises(UserError, match=says) as error:
        run(program, made, model, tmp_path / "out")
    assert str(model) in str(error.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and model not in path.parents]


@pytest.mark.parametrize("program", PROGRAMS)
def test_without_a_generation_config_whispers_own_is_taken(made, tmp_path, program):
    model = changed(made, tmp_path, "base", lambda f: (f / "generation_config.json").unlink())
    run(program, made, model, out := tmp_path / "out")
    if program == "evaluation":
        assert json.loads((out / "metrics.json").read_text())["tuned"]["general"]["wer"] == 0
    elif program == "transcribe":
        assert (out / "clip.txt").read_text() == f"{SAYS}\n"
    elif program == "convert_to_faster":
        written = json.loads((out / "float32/config.json").read_text())
        whole = json.loads((made / "faster/float32/config.json").read_text())
        assert written["lang_ids"] == whole["lang_ids"] and written["suppress_ids"] == whole["suppress_ids"]
    elif program == "convert_to_onnx":
        written, whole = ((f / "generation_config.json").read_text() for f in (out / "float32", made / "base"))
        assert json.loads(written)["lang_to_id"] == json.loads(whole)["lang_to_id"]
    else:
        assert (out / "f16/ggml-model.bin").read_bytes() == (made / "ggml/f16/ggml-model.bin").read_bytes()


HALF = {
    "without config.json": ("faster", lambda f: (f / "float32/config.json").unlink(), "cannot open it.*config.json"),
    "another model's config.json": (
        "faster",
        lambda f: (f / "float32/config.json").write_text("{}"),
        "no suppress_ids",
    ),
    "other mels": (
        "faster",
        lambda f: edit(f / "float32/preprocessor_config.json", feature_size=128),
        "makes 128 mel bins, the model wants 80",
    ),
    "half the weights": (
        "faster",
        lambda f: shorten(f / "float32/model.bin"),
        "cannot open it; convert the model again",
    ),
    "half a ggml file": ("ggml", lambda f: shorten(f / "f16/ggml-model.bin"), "not all tensors loaded"),
    "a ggml file before its weights": (
        "ggml",
        lambda f: shorten(f / "f16/ggml-model.bin", 500_000),
        "half a file, it ends before its vocabulary does; convert the model again",
    ),
    "no export": ("faster", lambda f: shutil.rmtree(f / "float32"), "no export in it; run the stage convert_to_faster"),
    "a folder that is none": ("faster", lambda f: (f / "notes").mkdir(), "notes: faster-whisper cannot open it"),
}


def shorten(file, to=None):
    file.write_bytes(file.read_bytes()[: to or file.stat().st_size // 2])


@pytest.mark.parametrize("damage", HALF)
def test_a_broken_export_is_not_judged(made, tmp_path, damage):
    name, change, says = HALF[damage]
    exports = changed(made, tmp_path, name, change)
    with pytest.raises(UserError, match=says) as error:
        evaluate(made, tmp_path / "out", exports={f"convert_to_{name}": exports})
    assert str(exports) in str(error.value) and not (tmp_path / "out").exists()


def test_a_ggml_file_that_ends_before_its_weights_is_not_transcribed_with(made, tmp_path):
    """whisper.cpp itself opens it and hears nothing."""
    file = changed(made, tmp_path, "ggml", lambda f: shorten(f / "f16/ggml-model.bin", 500_000)) / "f16/ggml-model.bin"
    with pytest.raises(UserError, match="ends before its vocabulary"):
        open_in_child(file, 1)
    with pytest.raises(UserError, match="ends before its vocabulary"):
        run("transcribe", made, file, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


UTTERANCES = {
    "no byte of sound": (
        [utterance("0"), utterance("1", sound=b"")],
        r"test: general/1: .* cannot be read; run .*: 0 bytes",
    ),
    "sound of no length": (
        [utterance("0"), utterance("1", sound=np.zeros(0, np.float32))],
        "general/1: its recording cannot be read",
    ),
    "text for sound": ([utterance("0"), utterance("1", sound=b"no sound\n" * 99)], "general/1: .*not recognised"),
    "half a recording": ([utterance("0"), utterance("1", sound=encode_flac(NOISE)[:6000])], "general/1: its recording"),
    "doubled ids": ([utterance("0"), utterance("0"), utterance("1")], "general/0: more than one utterance has this id"),
    "nothing is said": (
        [utterance("0", text=""), utterance("1", text=" ")],
        "general: nothing is said in any recording",
    ),
    "nothing that counts is said": (
        [utterance("0", text="…"), utterance("1", text="[Musik]")],
        "leaves no word of general/0",
    ),
    "an unknown language": (
        [utterance("0", language="yue")],
        "base: the model does not know the language 'yue'; leave",
    ),
    "two languages": ([utterance("0"), utterance("1", language="en")], "general is in several languages, de, en"),
    "a silent hour among clips": (
        [utterance("0"), utterance("1", text="", sound=np.zeros(16_000 * 3600, np.float32))],
        "general/1: over 30 s; judge general among evaluation.long_test_sets",
    ),
}


@pytest.mark.parametrize("fault", UTTERANCES)
def test_a_broken_test_set_is_not_judged(made, tmp_path, fault):
    utterances, says = UTTERANCES[fault]
    (tmp_path / "audio").mkdir()
    audio = write(tmp_path / "audio", utterances)
    with pytest.raises(UserError, match=says):
        evaluate(made, tmp_path / "out", audio_dir=audio)
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.partial").exists()


def test_exports_are_proved_on_no_broken_recording(made, tmp_path):
    from asr.heard import read_heard

    write(tmp_path, [utterance("0"), utterance("1", sound=b"no sound\n" * 99)])
    (tmp_path / "test").rename(tmp_path / "dev")
    with pytest.raises(
        UserError, match="dev: general/1: its recording cannot be read; run the stage prepare_audio again"
    ):
        read_heard(tmp_path, 4)


@pytest.mark.parametrize(("engine", "form"), [("convert_to_faster", "faster"), ("convert_to_ggml", "ggml")])
def test_an_export_that_does_not_know_the_language_is_not_judged(made, tmp_path, engine, form):
    (tmp_path / "audio").mkdir()
    audio = write(tmp_path / "audio", [utterance("0", language="yue")])
    model = changed(made, tmp_path, "base", lambda f: None)  # folders are opened in the order of their paths
    with pytest.raises(UserError, match=f"{form}.*: the model does not know .*yue.*; leave "):
        evaluate(made, tmp_path / "out", audio_dir=audio, models={"last": model}, exports={engine: made / form})


@pytest.mark.parametrize("speakers", [("s", "s"), ("", "")], ids=["one speaker", "none known"])
def test_of_one_speaker_utterances_are_resampled_and_the_page_says_so(made, tmp_path, speakers):
    (tmp_path / "audio").mkdir()
    said = [utterance("0", speaker=speakers[0]), utterance("1", "Schalte das Licht aus.", speaker=speakers[1])]
    metrics = evaluate(made, tmp_path / "out", audio_dir=write(tmp_path / "audio", said))
    figures = metrics["base_model"]["general"]
    assert (figures["wer"], figures["wer_low"]) == (1 / 8, 0) and figures["wer_high"] > 1  # of two, nobody knows much
    assert "95 % intervals resampled by utterance" in (tmp_path / "out/report.html").read_text()


def test_of_files_of_one_speaker_too(tmp_path):
    rows = [{"id": i, "reference": "ja", "hypothesis": ("ja", "nein")[i], "speaker": "s"} for i in range(2)]
    (tmp_path / "both.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done = files(tmp_path, "--predictions", "both.jsonl", "--profile", "words")
    assert done.returncode == 0 and "95 % intervals by utterance" in done.stdout
    assert "wer            0.50000  [0.00000, 6.8531" in done.stdout
    (tmp_path / "ref.jsonl").write_text(json.dumps({"id": 0, "text": "ja"}))
    for name, text in (("a", "nein"), ("b", "ja")):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"id": 0, "text": text}))
    both = ["--predictions", "a.jsonl", "--references", "ref.jsonl", "--against", "b.jsonl", "--output", "out.json"]
    done = files(tmp_path, *both, "--profile", "words")
    assert done.returncode == 0 and "difference +1.00000 [not known], p 1.0000" in done.stdout
    assert json.loads((tmp_path / "out.json").read_text())["against"]["low"] is None


def files(folder, *flags):
    return subprocess.run([sys.executable, evaluation.__file__, *flags], cwd=folder, capture_output=True, text=True)


def test_a_place_that_cannot_be_written_to_is_told_by_every_program_first(made, tmp_path, monkeypatch):
    """A file in the place of a folder stands for a missing permission, which root, who runs some tests, always has."""
    (tmp_path / "file").touch()
    monkeypatch.setattr(evaluation, "listen", None)  # what comes later is not reached
    for program in PROGRAMS:
        with pytest.raises(UserError, match=rf"{tmp_path}/file/\S+: .*; give (a folder that you may write to|another)"):
            run(program, made, made / "base", tmp_path / "file/out")
    (tmp_path / "both.jsonl").write_text('{"reference": "ja", "hypothesis": "ja"}')
    for output, says in (
        ("file/figures.json", "no such folder; make it first"),
        (".", "is a folder; give the name of a file"),
        (f"{'x' * 252}.json", "cannot be written (File name too long); give another place"),
        ("/proc/figures.json", "cannot be written"),
        ("both.jsonl", "is read here too; give another file"),
        ("taken", "taken.partial is in its way; move that"),
    ):
        (tmp_path / "taken.partial").write_text("mine")
        done = files(tmp_path, "--predictions", "both.jsonl", "--profile", "words", "--output", output)
        assert done.returncode == 1 and done.stderr.startswith(f"error: --output {output}: {says}")
        assert not done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["both.jsonl", "file", "taken.partial"]
    assert (tmp_path / "taken.partial").read_text() == "mine"


@pytest.mark.slow
def test_a_silent_hour_is_an_empty_transcript(made, tmp_path, capsys):
    soundfile.write(tmp_path / "hour.flac", np.zeros(16_000 * 3600, np.int16), 16_000)
    flags = (tmp_path / "hour.flac", "--model", made / "faster/float32")
    transcribe.main(transcribe.parse([str(flag) for flag in flags]))
    assert (tmp_path / "hour.txt").read_text() == ""
    assert "hour.flac: nobody speaks; the transcript is empty" in capsys.readouterr().out


@pytest.mark.parametrize("minutes", [2, pytest.param(60, marks=pytest.mark.slow)])
def test_silence_in_a_long_test_set_costs_little_and_changes_no_figure(made, tmp_path, minutes):
    hour = utterance("hour", text="", sound=np.zeros(16_000 * 60 * minutes, np.float32), source="long")
    talk = [utterance("talk", sound=NOISE, source="long"), utterance("0")]
    figures = []
    for name, said in (("with", [*talk, hour]), ("without", talk)):
        (tmp_path / name).mkdir()
        audio = write(tmp_path / name, said)
        metrics = evaluate(
            made, tmp_path / f"{name}/out", audio_dir=audio, long_test_sets=["long"],
            exports={"convert_to_faster": made / "faster"},
        )  # fmt: skip
        figures.append([metrics[model]["long"] for model in ("base_model", "faster_whisper_batched/float32")])
    for one, other in zip(*figures, strict=True):
        assert {**one, "wer_low": 0, "wer_high": 0, "cer_low": 0, "cer_high": 0, "rambling": 0} == {
            **other, "wer_low": 0, "wer_high": 0, "cer_low": 0, "cer_high": 0, "rambling": 0,
        }  # fmt: skip
        assert one["insertions_in_silence"] == 0 and one["words"] == 4
