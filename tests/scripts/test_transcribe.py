"""Recordings of any kind and length become transcripts by any engine; what is broken is one message, and the rest goes on."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pysubs2
import pytest
import soundfile
import soxr
import torch
from ctranslate2.converters import TransformersConverter
from one_sentence import teach
from transformers import WhisperFeatureExtractor

import transcribe
from asr.engines import Decoding, kind_of, open_engine
from asr.errors import UserError
from asr.espeak import Espeak
from asr.model import save_whisper
from asr.new_model import new_whisper
from asr.synthesis import speech
from asr.vocabulary import whisper_tokenizer
from asr.whisper_shape import LANGUAGES

SCRIPT = Path(transcribe.__file__)
SAYS = "Schalte das Licht ein."
KINDS = {"transformers": "base", "ctranslate2": "faster", "ggml": "ggml/f16", "onnx": "onnx/float32"}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A Whisper that says `SAYS` whatever it hears, in each form that can be written here."""
    folder = tmp_path_factory.mktemp("models")
    tokenizer = whisper_tokenizer(80)
    model = new_whisper(mels=80, width=32, heads=2, encoder_layers=1, decoder_layers=1, seed=0)
    torch.manual_seed(0)
    teach(model, tokenizer, " " + SAYS)
    save_whisper(folder / "base", model, tokenizer, WhisperFeatureExtractor())
    files = ["tokenizer.json", "preprocessor_config.json"]
    TransformersConverter(str(folder / "base"), copy_files=files).convert(str(folder / "faster"))
    return folder


@pytest.fixture
def model_of(models):
    """The folder of a kind; ggml and ONNX are written by their own stages."""

    def of(kind):
        folder, given = (
            models / KINDS[kind],
            {"model_dir": models / "base", "output_dir": (models / KINDS[kind]).parent},
        )
        if not folder.exists():
            stage = pytest.importorskip(f"convert_to_{kind}", reason=f"no stage that writes {kind} here")
            if kind == "ggml":
                stage.main(stage.ConvertToGgml(types=["f16"], **given))
            else:
                stage.main(stage.ConvertToOnnx(dtypes=["float32"], **given))
        return folder

    return of


@pytest.fixture(scope="module")
def talk(tmp_path_factory):
    """Two sentences, from 2.0 s and from about 9 s on, by a voice at 22,050 Hz."""
    espeak, rate = Espeak(), 22_050
    first, second = (
        speech(text, "de+m3", random.Random(0), espeak) for text in ("Guten Morgen, wie geht es dir?", "Öffne die Tür.")
    )
    silence = np.zeros(rate, np.float32)
    sound = np.concatenate([silence, silence, first, *[silence] * 5, second, silence])
    path = tmp_path_factory.mktemp("talk") / "talk.wav"
    soundfile.write(path, sound, rate)
    path.with_suffix(".json").write_text(json.dumps([2.0, 2.0 + len(first) / rate + 5]))
    return path


def run(*flags):
    transcribe.main(transcribe.parse([str(flag) for flag in flags]))


def said_in(path):
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_engine_is_recognised_and_says_what_it_was_taught_where_somebody_speaks(kind, model_of, talk, tmp_path):
    assert kind_of(model_of(kind)) == kind
    run(talk, "--model", model_of(kind), "--format", "json,txt", "--output_dir", tmp_path, "--language", "de")
    said = said_in(tmp_path / "talk.json")
    assert said["language"] == "de" and said["language_probability"] is None
    texts = [segment["text"] for segment in said["segments"]]
    assert set(texts) == {SAYS} and (tmp_path / "talk.txt").read_text().splitlines() == texts
    first, second = json.loads(talk.with_suffix(".json").read_text())
    at = first - 0.5
    for segment in said["segments"]:
        assert at <= segment["start"] < segment["end"] <= said["seconds"]
        assert segment["end"] < second - 2 or segment["start"] > second - 0.5  # none in the silence between
        at = segment["end"]
        if kind == "onnx":
            assert segment["words"] is None
            continue
        assert " ".join(word["word"] for word in segment["words"]) == segment["text"]
        times = [time for word in segment["words"] for time in (word["start"], word["end"])]
        assert times == sorted(times) and segment["start"] <= times[0] and times[-1] <= segment["end"]
        probabilities = [word["probability"] for word in segment["words"]]
        assert probabilities == [None] * 4 if kind == "transformers" else all(0 < p <= 1 for p in probabilities)
    assert any(segment["start"] > second - 0.5 for segment in said["segments"])


@pytest.mark.parametrize("kind", KINDS)
def test_engines_detect_the_same_language_and_take_prompts_and_beams(kind, model_of):
    sound = np.random.default_rng(0).normal(0, 0.1, 48_000).astype(np.float32)
    reference = open_engine(model_of("transformers"), Decoding(beam_size=1))
    engine = open_engine(model_of(kind), Decoding(beam_size=1))
    (language, probability), expected = engine.detect_language(sound), reference.detect_language(sound)
    assert language == expected[0] in LANGUAGES and probability == pytest.approx(expected[1], abs=0.02)
    assert engine.languages == reference.languages == set(LANGUAGES[:-1]) and engine.seconds == 30
    plain = [segment.text.strip() for segment in engine.segments(sound, "de")]
    assert [segment.text.strip() for segment in engine.segments(sound, "de", words=True)] == plain
    # One that never saw a prompt loses its way after one; and one of any length fits.
    prompted = [segment.text.strip() for segment in engine.segments(sound, "de", prompt="Hallo")]
    assert plain == [SAYS] and prompted != plain
    list(engine.segments(sound, "de", prompt="Hallo, Welt! " * 300))
    if kind != "onnx":
        assert [
            s.text.strip() for s in open_engine(model_of(kind), Decoding(beam_size=3)).segments(sound, "de")
        ] == plain


def test_subtitles_are_read_by_others_and_times_are_those_of_the_video(models, talk, tmp_path):
    sound, rate = soundfile.read(talk, dtype="float32")
    with av.open(str(tmp_path / "talk.mp4"), "w") as container:
        stream, picture = container.add_stream("aac", rate=48_000), container.add_stream("mpeg4", rate=1)
        picture.width = picture.height = 64
        for _ in range(int(len(sound) / rate)):
            container.mux(picture.encode(av.VideoFrame(64, 64, "yuv420p")))
        frame = av.AudioFrame.from_ndarray(soxr.resample(sound, rate, 48_000)[None], "fltp", "mono")
        frame.rate = 48_000
        for packets in (stream.encode(frame), stream.encode(None), picture.encode(None)):
            container.mux(packets)
    flags = ("--model", models / "faster", "--format", "srt,vtt,txt", "--language", "de", "--beam_size", 1)
    run(talk, *flags, "--output_dir", tmp_path / "wav")
    run(tmp_path / "talk.mp4", *flags)  # beside the recording
    lines = (tmp_path / "talk.txt").read_text(encoding="utf-8").splitlines()
    for form in ("srt", "vtt"):
        events = pysubs2.SSAFile.load(str(tmp_path / f"talk.{form}"), encoding="utf-8").events
        assert [event.text for event in events] == lines and len(lines) >= 2
        assert all(a.start < a.end <= b.start < b.end for a, b in pairwise(events))
        same = pysubs2.SSAFile.load(str(tmp_path / f"wav/talk.{form}"), encoding="utf-8").events
        assert [event.start for event in events] == pytest.approx([event.start for event in same], abs=100)


def test_the_language_is_detected_and_said(models, talk, tmp_path, capsys):
    run(talk, "--model", models / "faster", "--format", "json", "--output_dir", tmp_path)
    said = said_in(tmp_path / "talk.json")
    assert said["language"] in LANGUAGES and 0 < said["language_probability"] <= 1
    assert f"{said['language']} ({said['language_probability']:.0%} sure)" in capsys.readouterr().out


def test_the_flags_of_the_guide_are_understood(models, talk, tmp_path):
    guide = ("--audio_path", talk, "--model_path", models / "faster", "--language", "de", "--use_gpu", "False")
    guide += (
        "--use_int8=True",
        "--beam_size",
        2,
        "--num_workers",
        1,
        "--vad_filter",
        "False",
        "--local_files_only",
        "True",
    )
    parsed = transcribe.parse([str(flag) for flag in guide])
    assert (parsed.device, parsed.compute_type, parsed.speech_threshold, parsed.beam_size) == ("cpu", "int8", 0.0, 2)
    run(*guide, "--output_dir", tmp_path)
    assert SAYS in (tmp_path / "talk.txt").read_text()


def test_one_transcript_to_standard_output_and_nothing_else(models, talk):
    command = [sys.executable, SCRIPT, talk, "--model", models / "faster", "--output_dir", "-", "--format", "srt"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {event.text for event in pysubs2.SSAFile.from_string(done.stdout, "srt").events} == {SAYS}
    assert done.stdout.startswith("1\n00:00:0") and "segments" in done.stderr


def test_of_a_folder_what_can_be_read_is_transcribed_and_the_rest_is_listed(models, talk, tmp_path):
    corpus, out = tmp_path / "corpus", tmp_path / "out"
    (corpus / "deep").mkdir(parents=True)
    shutil.copy(talk, corpus / "good.wav")
    shutil.copy(talk, corpus / "deep/good.WAV")
    soundfile.write(corpus / "good.flac", np.zeros(16_000), 16_000)  # would be good.txt too
    (corpus / "empty.wav").touch()
    soundfile.write(corpus / "none.wav", np.zeros(0), 16_000)
    (corpus / "text.wav").write_text("This is no sound.\n" * 100)
    (corpus / "notes.txt").write_text("left alone")
    (corpus / "cut.wav").write_bytes(talk.read_bytes()[: talk.stat().st_size * 3 // 4])
    command = [
        sys.executable,
        SCRIPT,
        corpus,
        tmp_path / "nowhere.wav",
        "--model",
        models / "faster",
        "--output_dir",
        out,
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    problems = done.stderr[done.stderr.index("error: ") :].splitlines()
    assert problems[0] == "error: 6 problems:" and "Traceback" not in done.stderr
    reasons = {
        "nowhere.wav": "no such file", "empty.wav": "0 bytes", "none.wav": "no samples", "text.wav": "Format not recognised",
        "good.wav": "would be that of", "cut.wav": "ends too early; what is there was transcribed",
    }  # fmt: skip
    for name, reason in reasons.items():
        assert sum(f"{name}: " in line and reason in line for line in problems) == 1, (name, problems)
    found = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert found == {"good.txt", "deep/good.txt", "cut.txt"}
    assert SAYS in (out / "deep/good.txt").read_text() and SAYS in (out / "cut.txt").read_text()


def test_silence_is_an_empty_transcript_and_said(models, tmp_path, capsys):
    soundfile.write(tmp_path / "silence.flac", np.zeros(16_000 * 120), 16_000)
    run(tmp_path / "silence.flac", "--model", models / "faster", "--format", "txt,json,vtt")
    assert "nobody speaks; the transcript is empty" in capsys.readouterr().out
    assert (tmp_path / "silence.txt").read_text() == "" and (tmp_path / "silence.vtt").read_text() == "WEBVTT\n\n"
    said = said_in(tmp_path / "silence.json")
    assert said["segments"] == [] and said["language"] is None and said["seconds"] == 120


def test_little_text_for_much_speech_is_told(models, tmp_path, capsys):
    text = "Guten Morgen, wie geht es dir heute?"
    for name, times in (("long", 8), ("short", 2)):
        sound = speech(" ".join([text] * times), "de+m3", random.Random(0), Espeak())
        soundfile.write(tmp_path / f"{name}.wav", sound, 22_050)

    def said_of(name, *flags):
        run(
            tmp_path / f"{name}.wav",
            "--model",
            models / "faster",
            "--language",
            "de",
            "--existing",
            "overwrite",
            *flags,
        )
        return capsys.readouterr().err

    assert re.search(
        rf"long\.wav: only {len(SAYS)} characters for \d\d s of speech; if some is left out", said_of("long")
    )
    assert said_of("short") == said_of("long", "--chunk_seconds", 5) == said_of("long", "--speech_threshold", 0) == ""


def test_a_transcript_that_exists_is_left_unless_told_otherwise(models, talk, tmp_path, capsys):
    (tmp_path / "talk.txt").write_text("mine")
    flags = (talk, "--model", models / "faster", "--output_dir", tmp_path, "--existing")
    with pytest.raises(UserError, match=r"talk\.txt exists; --existing overwrite"):
        run(*flags, "refuse")
    run(*flags, "skip")
    assert "skipped" in capsys.readouterr().err and (tmp_path / "talk.txt").read_text() == "mine"
    run(*flags, "overwrite")
    assert SAYS in (tmp_path / "talk.txt").read_text()


def damaged(models, folder, name, change):
    shutil.copytree(models / name, folder / name)
    change(folder / name)
    return folder / name


def shorten(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("faster", lambda f: (f / "model.bin").unlink(), "half a model for CTranslate2, without model.bin"),
        ("faster", lambda f: (f / "tokenizer.json").unlink(), "without tokenizer.json"),
        ("faster", lambda f: (f / "vocabulary.json").unlink(), "without vocabulary.json"),
        ("faster", lambda f: shorten(f / "model.bin"), "faster-whisper cannot open it"),
        ("faster", lambda f: (f / "model.bin.incomplete").touch(), "half a download"),
        ("base", lambda f: (f / "model.safetensors").unlink(), "no weights"),
        ("base", lambda f: shorten(f / "model.safetensors"), "weights cannot be read"),
        ("base", lambda f: (f / "tokenizer.json").write_text("{"), "tokenizer cannot be read"),
        ("base", lambda f: [p.unlink() for p in f.iterdir()], "no model; expected config.json"),
    ],
)
def test_half_a_model_is_one_message(models, tmp_path, name, change, says):
    with pytest.raises(UserError, match=says):
        open_engine(damaged(models, tmp_path, name, change))


def test_what_is_no_model_is_one_message(models, tmp_path):
    two = tmp_path / "two"
    for name in ("base", "faster"):
        (two / name).parent.mkdir(exist_ok=True)
        (two / name).symlink_to(models / name)
    for path, says in (
        (tmp_path / "nowhere", "no such folder"),
        (two, "holds models, and is none; give one of them: base, faster$"),
        (SCRIPT, "no file of whisper.cpp's"),
    ):
        with pytest.raises(UserError, match=says):
            open_engine(path)
    (tmp_path / "ggml-model.bin").write_bytes(b"lmgg" + bytes(3))
    with pytest.raises(UserError, match=r"ggml-model\.bin: half a file"):
        open_engine(tmp_path)


def test_mistakes_are_told_before_anything_is_written(models, talk, tmp_path, capsys):
    out = tmp_path / "out"
    for flags, says in (
        (("--language", "yue"), "--language yue: not known to this model"),
        (("--compute_type", "int3"), "--compute_type int3: CTranslate2 cannot"),
        (("--output_dir", "/proc/nowhere"), "--output_dir /proc/nowhere: .*; give another folder"),
        (("--output_dir", talk), "--output_dir .*talk.wav: "),
        (("--output_dir", "-", "--format", "txt,srt"), "only one recording in one --format"),
    ):
        with pytest.raises(UserError, match=says):
            run(talk, "--model", models / "faster", "--output_dir", out, *flags)
        assert not out.exists() or not list(out.iterdir())
    for flags, says in (
        ((talk, "--language", "xx"), "no code of a language"),
        ((), "give at least one recording"),
        ((talk, "--format", "doc"), "'doc' is none of txt, srt, vtt, json"),
        ((talk, "--chunk_seconds", 31), "1 to 30 s"),
        ((talk, "--beam_size", 0), "give 1 or more"),
    ):
        with pytest.raises(SystemExit, match="2"):
            run(*flags)
        assert says in capsys.readouterr().err


def test_where_nobody_may_write_is_told_and_others_go_on(models, talk, tmp_path, monkeypatch):
    """As for a user without permission; root, who runs some tests, has every one."""
    shutil.copy(talk, tmp_path / "a.wav")
    shutil.copy(talk, tmp_path / "b.wav")
    (tmp_path / "a.txt.partial").mkdir()  # where the transcript would be written
    with pytest.raises(UserError, match=r"a\.wav: .*Is a directory"):
        run(tmp_path / "a.wav", tmp_path / "b.wav", "--model", models / "faster")
    assert SAYS in (tmp_path / "b.txt").read_text()


def test_ctrl_c_leaves_nothing_that_looks_whole(models, talk, tmp_path):
    sound, rate = soundfile.read(talk, dtype="float32")
    soundfile.write(tmp_path / "long.wav", np.tile(sound, 200), rate)  # minutes of work
    command = [sys.executable, SCRIPT, tmp_path / "long.wav", "--model", models / "faster", "--format", "txt,json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        partial, deadline = tmp_path / "long.txt.partial", time.monotonic() + 60
        while (
            process.poll() is None and time.monotonic() < deadline and not (partial.exists() and partial.stat().st_size)
        ):
            time.sleep(0.05)
        assert SAYS in partial.read_text(), process.stderr.read() if process.poll() is not None else "too late"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == 130 and "stopped" in said and "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["long.wav"]


PEAK = """
import runpy, sys
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
print("peak", next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mp3", ".m4a"])  # by soundfile and by PyAV
def test_memory_does_not_grow_with_the_length(models, talk, tmp_path, suffix):
    sound, rate = soundfile.read(talk, dtype="float32")
    sound = soxr.resample(sound, rate, 16_000)
    peaks = {}
    for minutes in (3, 30):
        long = np.resize(sound, minutes * 60 * 16_000)
        file = tmp_path / f"{minutes}{suffix}"
        if suffix == ".mp3":
            soundfile.write(file, long, 16_000)
        else:
            with av.open(str(file), "w") as container:
                stream = container.add_stream("aac", rate=16_000)
                frame = av.AudioFrame.from_ndarray(long[None], "fltp", "mono")
                frame.rate = 16_000
                for packets in (stream.encode(frame), stream.encode(None)):
                    container.mux(packets)
        flags = [file, "--model", models / "faster", "--beam_size", "1", "--format", "txt,srt,vtt"]
        command = [sys.executable, "-c", PEAK, SCRIPT, *flags]
        done = subprocess.run(
            command, capture_output=True, text=True, env=os.environ | {"WORKERS": "1", "PYTHONPATH": str(SCRIPT.parent)}
        )
        assert done.returncode == 0, done.stderr
        peaks[minutes] = int(done.stdout.split("peak ")[1]) / 1024
        assert len((tmp_path / f"{minutes}.txt").read_text().splitlines()) >= 6 * minutes
    print(peaks)
    assert peaks[30] < peaks[3] + 8, peaks  # MB; the waveform alone would be 104
