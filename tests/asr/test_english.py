"""A Whisper that knows English alone is judged, proved and used as any other; openai-whisper is the oracle."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from english_whisper import END, SENTENCES, SIZE, english_clips, english_tokenizer, english_whisper, teach_english
from transformers import WhisperFeatureExtractor
from whisper.tokenizer import get_tokenizer

import convert_to_faster
import convert_to_ggml
import convert_to_onnx
import evaluation
import transcribe
from asr.audio import encode_flac
from asr.engines import Decoding, open_engine
from asr.english import knows_english_alone
from asr.errors import UserError
from asr.faster_engine import FasterWhisper
from asr.ggml import require_whisper_cpp_shape
from asr.hearing import Ways, listen
from asr.judged import TRANSFORMERS, Judged
from asr.labels import Labeler
from asr.libwhisper import Libwhisper
from asr.model import save_whisper
from asr.new_model import new_whisper
from asr.onnx_engine import Onnx
from asr.params import ConvertToFaster, ConvertToGgml, ConvertToOnnx, Evaluation
from asr.transformers_engine import Transformers
from asr.utterance import Utterance, columns
from asr.vocabulary import whisper_tokenizer
from asr.whisper_cpp import WhisperCpp

FORMS = {
    "transformers": "model",
    "ctranslate2": "faster/float32",
    "ggml": "ggml/f16",
    "onnx": "onnx/float32",
}
PARITY = {"encoder_cosine": 0.999, "log_probability": 0.02, "identical": 1.0, "error_difference": 0.0}


@pytest.fixture(scope="module")
def clips():
    return english_clips()


@pytest.fixture(scope="module")
def audio(clips, tmp_path_factory):
    """prepare_audio's folder: the sentences in English, and more clips that are said to be in German."""
    folder = tmp_path_factory.mktemp("audio")
    rows = [(f"en/{i}", clip, text, "en") for i, (clip, text) in enumerate(zip(clips, SENTENCES, strict=True))]
    rows += [(f"de/{i}", clips[i % 4], "Licht an.", "de") for i in range(6)]
    for name, languages in (("both", {"en", "de"}), ("german", {"de"})):
        for split in ("dev", "test"):
            write(folder / name, split, [row for row in rows if row[3] in languages])
    return folder


def write(audio_dir: Path, split: str, rows: list[tuple]) -> None:
    made = [
        Utterance(id, encode_flac(clip), text, language, "x", id[:2], "", split, len(clip) / 16000).row()
        for id, clip, text, language in rows
    ]
    Dataset.from_list(made, features=columns()).save_to_disk(audio_dir / "saved")
    (audio_dir / split).mkdir()
    next((audio_dir / "saved").glob("*.arrow")).rename(audio_dir / split / "00000.arrow")


def to_faster(model_dir: Path, output_dir: Path, audio_dir: Path) -> None:
    given = {"model_dir": model_dir, "output_dir": output_dir, "parity": PARITY | {"audio_dir": audio_dir}}
    convert_to_faster.main(ConvertToFaster(quantizations=["float32"], chunk_seconds=30, **given))


@pytest.fixture(scope="module")
def made(clips, audio, tmp_path_factory):
    """A model that knows the sentences by their sound, in each form; most recordings of the proof are in German."""
    folder = tmp_path_factory.mktemp("english")
    model = english_whisper()
    teach_english(model, clips)
    save_whisper(folder / "model", model, english_tokenizer(), WhisperFeatureExtractor())
    to_faster(folder / "model", folder / "faster", audio / "both")
    given = {"model_dir": folder / "model", "parity": PARITY | {"audio_dir": audio / "both"}}
    convert_to_ggml.main(ConvertToGgml(output_dir=folder / "ggml", types=["f16"], **given))
    convert_to_onnx.main(ConvertToOnnx(output_dir=folder / "onnx", dtypes=["float32"], **given))
    return folder


@pytest.fixture(scope="module")
def engines(made):
    return {
        "transformers": Transformers(made / "model", 3),
        "ctranslate2": FasterWhisper(made / FORMS["ctranslate2"], 3, beam_size=2, threads=1),
        "ggml": WhisperCpp(made / FORMS["ggml"] / "ggml-model.bin", 1),
        "onnx": Onnx(made / FORMS["onnx"], 3, threads=1),
    }


def ways(engines) -> Iterator:
    """Each way to decode that there is."""
    faster = engines["ctranslate2"]
    yield engines["transformers"]
    yield from (faster.greedy, faster.beam, faster.default, faster.without_timestamps, faster.batched)
    yield from (engines["ggml"].greedy, engines["ggml"].default, engines["onnx"].greedy)


def test_the_models_that_the_tests_make_have_openais_vocabulary():
    tokenizer, oracle = english_tokenizer(), get_tokenizer(multilingual=False)
    assert len(tokenizer) == oracle.encoding.n_vocab == SIZE
    for token, index in oracle.special_tokens.items():
        assert tokenizer.convert_tokens_to_ids(token) == index
    for text in [*SENTENCES, "naïve café, 18:45 — 30 %", "  two  spaces\n\tand a tab  "]:
        ids = tokenizer.encode(text, add_special_tokens=False)
        assert ids == oracle.encode(text) and tokenizer.decode(ids) == text


def test_prompts_are_openais(engines):
    oracle = get_tokenizer(multilingual=False)
    for engine in engines.values():
        assert engine.prompt("en") == [*oracle.sot_sequence, oracle.no_timestamps] == [50257, 50362]


def test_every_engine_says_what_belongs_to_each_clip(engines, clips):
    for engine in engines.values():
        said = dict(engine.greedy(clips, "en"))
        assert [said[i] for i in range(len(clips))] == SENTENCES
    for way in ways(engines):  # faster-whisper and whisper.cpp pad in their own way, which so small a model mistakes
        assert set(dict(way(clips, "en")).values()) <= set(SENTENCES)


def test_every_way_refuses_another_language_and_names_it_and_the_model(engines, made, clips):
    for way in ways(engines):
        with pytest.raises(UserError, match=rf"{made}.*: the model knows English alone, not the language 'de'"):
            dict(way(clips, "de"))


def test_each_export_was_proved_on_the_recordings_in_english(made):
    for form in ("ctranslate2", "ggml", "onnx"):
        measured = json.loads((made / FORMS[form] / "parity.json").read_text())
        assert measured["recordings"] == 4 and measured["identical_transcripts"] == 1.0
        assert measured["log_probabilities"]["mean_difference"] < 0.02
        assert measured["errors"]["model"] == 0 and (form == "ggml" or measured["encoder"]["lowest_cosine"] > 0.999)


def test_without_recordings_in_english_it_is_converted_and_said_that_it_was_not_compared(made, audio, tmp_path, capsys):
    to_faster(made / "model", tmp_path / "faster", audio / "german")
    said = (
        f"NOT COMPARED with its model, which knows English alone: {audio / 'german'}/dev has no transcribed recording"
    )
    assert said in capsys.readouterr().out
    assert (tmp_path / "faster/float32/lineage.json").is_file()
    assert not (tmp_path / "faster/float32/parity.json").exists()


def test_whisper_cpp_names_every_token_as_openai_does(made):
    model, oracle = Libwhisper(made / FORMS["ggml"] / "ggml-model.bin", 1), get_tokenizer(multilingual=False)
    assert model.end == oracle.eot == END
    for token in range(END):
        expected = oracle.encoding.decode_single_token_bytes(token).decode(errors="replace").strip()
        assert model.text([token]) == expected.replace("\0", "")  # a C string ends there


def test_two_decoder_layers_are_distil_whispers(made, tmp_path):
    """whisper.cpp takes it for one that was distilled, such as distil-medium.en, as it is."""
    shutil.copytree(made / "model", tmp_path / "model")
    file = tmp_path / "model/config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"decoder_layers": 2}))
    require_whisper_cpp_shape(tmp_path / "model", ["f16"])


@pytest.mark.parametrize("form", FORMS)
def test_recordings_are_transcribed_with_times_and_in_english_alone(form, made, clips, tmp_path):
    path = made / FORMS[form]
    engine = open_engine(path, Decoding(beam_size=1))
    assert engine.languages == {"en"} and engine.detect_language(clips[1]) == ("en", 1.0)
    (segment,) = engine.segments(clips[1], "en", words=form != "onnx")
    assert segment.text.strip() == SENTENCES[1] and 0 <= segment.start < segment.end <= len(clips[1]) / 16000
    assert segment.words is None or [word.text for word in segment.words] == ["What", "time", "is", "it?"]
    list(engine.segments(clips[1], "en", prompt="Good morning. " * 200))  # one of any length fits
    (tmp_path / "talk.wav").write_bytes(encode_flac(clips[1]))
    flags = [tmp_path / "talk.wav", "--model", path, "--language", "de", "--output_dir", tmp_path / "out"]
    with pytest.raises(UserError, match=rf"{path}: the model knows English alone, not the language 'de'"):
        transcribe.main(transcribe.parse(list(map(str, flags))))


def told(model_dir: Path, folder: Path, says: dict | None) -> Path:
    """A copy with something else in its generation configuration, or without one."""
    shutil.copytree(model_dir, folder)
    file = folder / "generation_config.json"
    if says is None:
        file.unlink()
        config = json.loads((folder / "config.json").read_text())
        for name in ("suppress_tokens", "begin_suppress_tokens"):
            config.pop(name, None)
        (folder / "config.json").write_text(json.dumps(config | {"forced_decoder_ids": [[1, 50362]]}))
    else:
        file.write_text(json.dumps(json.loads(file.read_text()) | says))
    return folder


TUNED = {
    "language": "en",
    "task": "transcribe",
    "lang_to_id": {"<|en|>": 50258},
    "task_to_id": {"transcribe": 50358},
    "forced_decoder_ids": None,
}


@pytest.mark.parametrize("says", [None, TUNED, {"is_multilingual": None, "no_timestamps_token_id": None}])
def test_whatever_a_generation_configuration_says_of_languages_the_prompt_is_the_same(made, clips, tmp_path, says):
    folder = told(made / "model", tmp_path / "model", says)
    engine = Transformers(folder, 3)
    assert [dict(engine(clips, "en"))[i] for i in range(4)] == SENTENCES
    generation = engine._model.generation_config
    assert set(generation.suppress_tokens) == {
        *get_tokenizer(multilingual=False).non_speech_tokens,
        50257,
        *range(50357, 50362),
    }
    opened = open_engine(folder, Decoding(beam_size=1))
    assert [segment.text.strip() for segment in opened.segments(clips[2], "en", words=True)] == [SENTENCES[2]]


def test_no_speech_is_the_probability_of_its_token_whatever_its_name(engines, made, clips, tmp_path):
    shutil.copytree(made / "model", tmp_path / "model")
    for name in ("tokenizer.json", "tokenizer_config.json", "added_tokens.json", "special_tokens_map.json"):
        file = tmp_path / "model" / name
        file.write_text(file.read_text().replace("<|nospeech|>", "<|nocaptions|>"))
    starts = dict(Transformers(tmp_path / "model", 1).starts(clips[:2]))
    assert {start.language for start in starts.values()} == {"en"}
    found = [starts[i].no_speech for i in range(2)]
    with torch.inference_mode():
        features = WhisperFeatureExtractor()(clips[:2], sampling_rate=16_000, return_tensors="pt").input_features
        said = torch.full((2, 1), 50257)
        model = engines["transformers"]._model
        expected = (
            model(features, decoder_input_ids=said)
            .logits[:, 0]
            .softmax(-1)[:, get_tokenizer(multilingual=False).no_speech]
        )
    assert found == pytest.approx(expected.tolist(), rel=1e-3)


def test_evaluation_judges_it_in_english(made, audio, tmp_path):
    params = {
        "audio_dir": audio / "both",
        "models": {"base_model": made / "model"},
        "exports": {
            "convert_to_faster": made / "faster",
            "convert_to_ggml": made / "ggml",
            "convert_to_onnx": made / "onnx",
        },
        "engine_test_sets": ["en"],
        "timestamps_test_sets": ["en"],
        "long_test_sets": [],
        "silence_seconds": [],
        "batch": 2,
        "beam_size": 1,
        "gates": [],
    }
    evaluation.main(Evaluation(output_dir=tmp_path / "out", test_sets=["en"], **params))
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert {f"convert_to_{form}" for form in ("faster", "ggml", "onnx")} <= {model.split("/")[0] for model in metrics}
    assert {metrics[model]["en"]["wer"] for model in metrics if not model.startswith(("faster", "whisper"))} == {0}
    with pytest.raises(UserError, match=rf"base_model: {made}/model knows English alone, and is to hear de \(de\)"):
        evaluation.main(Evaluation(output_dir=tmp_path / "german", test_sets=["en", "de"], **params))


def test_another_language_is_refused_before_anything_is_opened(made, tmp_path):
    noise = {"dev": [np.zeros(16000, np.float32)]}
    for form, files in (("model", ["config.json"]), ("faster/float32", ["config.json", "vocabulary.json"])):
        folder = tmp_path / form.replace("/", "_")
        folder.mkdir()
        for name in files:
            shutil.copy(made / form / name, folder)  # no weights, which would be named first
        plan = [Judged("tuned", folder, TRANSFORMERS if form == "model" else "convert_to_faster", "greedy", ("dev",))]
        with pytest.raises(UserError, match=r"tuned: .* knows English alone, and is to hear dev \(ru\)"):
            listen(plan, noise, {"dev": "ru"}, Ways(1, 1, 1, 30))
        with pytest.raises(UserError, match="no weights" if form == "model" else "faster-whisper cannot open it"):
            listen(plan, noise, {"dev": "en"}, Ways(1, 1, 1, 30))


def test_models_are_told_apart_by_their_files(made, tmp_path):
    assert all(knows_english_alone(made / FORMS[form]) for form in ("transformers", "ctranslate2", "ggml", "onnx"))
    model = new_whisper(mels=80, width=16, heads=2, encoder_layers=1, decoder_layers=1, seed=0)
    save_whisper(tmp_path / "all", model, whisper_tokenizer(80), WhisperFeatureExtractor())
    assert not knows_english_alone(tmp_path / "all")
    for content in ("{", "[]", "{}"):
        (tmp_path / "config.json").write_text(content)
        assert not knows_english_alone(tmp_path)


def test_it_is_not_trained_on_labels_that_it_is_never_prompted_with():
    with pytest.raises(UserError, match=r"knows English alone .* start from a multilingual one"):
        Labeler(english_tokenizer())
