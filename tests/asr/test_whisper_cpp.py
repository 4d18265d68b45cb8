"""whisper.cpp says what transformers says, of a model whose every word depends on the sound."""

import errno
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soxr
import torch
from transformers import WhisperFeatureExtractor

from asr.engines import ggml_file
from asr.errors import UserError
from asr.espeak import Espeak
from asr.ggml import write_ggml
from asr.model import load_whisper, save_whisper
from asr.new_model import new_whisper
from asr.transformers_engine import Transformers
from asr.vocabulary import whisper_tokenizer
from asr.whisper_cpp import WhisperCpp, open_in_child

SENTENCES = ["Schalte bitte das Licht in der Küche an.", "Wie spät ist es?", "Öffne die Tür!", "Rühre den Teig."]
PROMPT = ["<|startoftranscript|>", "<|de|>", "<|transcribe|>", "<|notimestamps|>"]
END = 50257
SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(scope="module")
def clips():
    espeak = Espeak()
    spoken = [espeak.speak(text, "de", 130, 50).astype(np.float32) / 32768 for text in SENTENCES]
    spoken = [soxr.resample(sound, 22_050, 16_000) for sound in spoken]
    spoken.append(np.zeros(100, np.float32))
    spoken.append(np.tile(spoken[0], 20)[: 30 * 16_000])  # a whole window
    return spoken


def teach(model, tokenizer, heard):
    """Teach the decoder which sentence belongs to which clip, by what the encoder says, `[clips, positions, width]`."""
    prompt = tokenizer.convert_tokens_to_ids(PROMPT)
    rows = [[*prompt, *tokenizer.encode(text, add_special_tokens=False), END] for text in SENTENCES]
    tokens = torch.tensor([row + [END] * (max(map(len, rows)) - len(row)) for row in rows])
    labels = tokens[:, 1:].clone()
    labels[:, : len(prompt) - 1] = -100
    optimiser = torch.optim.AdamW(model.model.decoder.parameters(), lr=5e-3)
    for _ in range(70):
        logits = model(encoder_outputs=(heard,), decoder_input_ids=tokens[:, :-1]).logits
        torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels).backward()
        optimiser.step()
        optimiser.zero_grad()


@pytest.fixture(scope="module", params=[80, 128], ids=["80 mels", "128 mels"])
def made(request, clips, tmp_path_factory):
    """A model that knows the sentences by their sound: its folder, and its f16 file."""
    folder = tmp_path_factory.mktemp("whisper_cpp")
    feature_extractor, tokenizer = WhisperFeatureExtractor(request.param), whisper_tokenizer(request.param)
    torch.manual_seed(0)
    model = new_whisper(mels=request.param, width=64, heads=2, encoder_layers=2, decoder_layers=1, seed=0)
    with torch.no_grad():
        for convolution in (model.model.encoder.conv1, model.model.encoder.conv2):
            convolution.weight.mul_(8)  # the sound beside the positions
        features = feature_extractor(clips[: len(SENTENCES)], sampling_rate=16_000, return_tensors="pt")
        heard = model.model.encoder(features.input_features).last_hidden_state
    teach(model, tokenizer, heard)
    save_whisper(folder / "model", model, tokenizer, feature_extractor)
    write_ggml(folder / "model", folder / "f16.bin", "f16")
    shutil.copy(folder / "model/generation_config.json", folder)
    return folder / "model", folder / "f16.bin"


def test_greedy_transcripts_are_transformers_own(made, clips):
    model_dir, file = made
    expected = dict(Transformers(model_dir, batch=3)(clips, "de"))
    assert [expected[i] for i in range(len(SENTENCES))] == SENTENCES
    assert dict(WhisperCpp(file, 1).greedy(clips, "de")) == expected


def test_log_probabilities_are_transformers_own(made, clips):
    model_dir, file = made
    model, tokenizer, feature_extractor = load_whisper(model_dir)
    engine = WhisperCpp(file, 1)
    prompt = engine.prompt("de")
    assert prompt == tokenizer.convert_tokens_to_ids(PROMPT)
    for clip, sentence in zip(clips, SENTENCES, strict=False):
        text = tokenizer.encode(sentence, add_special_tokens=False)
        heard = feature_extractor(clip, sampling_rate=16_000, return_tensors="pt").input_features
        with torch.inference_mode():
            logits = model(heard, decoder_input_ids=torch.tensor([prompt + text])).logits[0, len(prompt) - 1 : -1]
        expected = logits[:, :END].log_softmax(-1)[torch.arange(len(text)), text].numpy()
        found = engine.log_probabilities(clip, prompt, text)
        assert found.dtype == np.float32 and found.shape == (len(text),)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-2)
        # What is not said is improbable: the sound decides the first token, the tokens before it the others.
        others = [engine.log_probabilities(other, prompt, text[:1]) for other in clips[:4] if other is not clip]
        assert found.sum() > -2 > max(np.ravel(others).max(), engine.log_probabilities(clip, prompt, text[::-1])[1])
    assert engine.log_probabilities(clips[0], prompt, []).shape == (0,)
    assert engine.encoded(clips[0]) is None


def test_tokens_that_transformers_suppresses_are_not_written(made, clips, tmp_path):
    model_dir, file = made
    model, tokenizer, feature_extractor = load_whisper(model_dir)
    text = tokenizer.encode(SENTENCES[0], add_special_tokens=False)
    model.generation_config.suppress_tokens = [text[3]]
    model.generation_config.begin_suppress_tokens = [text[0]]
    save_whisper(tmp_path, model, tokenizer, feature_extractor)
    expected = dict(Transformers(tmp_path, batch=1)(clips[:1], "de"))
    (beside := tmp_path / "ggml-model.bin").symlink_to(file)
    assert dict(WhisperCpp(beside, 1).greedy(clips[:1], "de")) == expected != {0: SENTENCES[0]}
    (tmp_path / "generation_config.json").write_text("[]")
    with pytest.raises(UserError, match=r"generation_config\.json: cannot be read; make the export again"):
        dict(WhisperCpp(beside, 1).greedy(clips[:1], "de"))
    (tmp_path / "generation_config.json").unlink()  # then none is
    assert dict(WhisperCpp(beside, 1).greedy(clips[:1], "de")) == {0: SENTENCES[0]}


def test_defaults_take_recordings_of_any_length_and_say_each_window(made, clips):
    _, file = made
    engine = WhisperCpp(file, 1)
    long = np.tile(clips[0], 15)[: 40 * 16_000]
    texts = dict(engine.default([clips[1], long, clips[4]], "de"))
    assert texts[0] and len(texts[1]) > len(texts[0]) and texts[2] == ""
    assert dict(WhisperCpp(file, 1).default([clips[1], long], "de")) == {0: texts[0], 1: texts[1]}


def test_what_does_not_fit_is_refused(made, clips):
    _, file = made
    engine = WhisperCpp(file, 1)
    with pytest.raises(ValueError, match="over 30 s"):
        dict(engine.greedy([np.zeros(30 * 16_000 + 1, np.float32)], "de"))
    with pytest.raises(ValueError, match=r"4 \+ 445 tokens"):
        engine.log_probabilities(clips[0], engine.prompt("de"), [400] * 445)
    for decode in (engine.greedy, engine.default):
        with pytest.raises(UserError, match="does not know the language 'xx'"):
            dict(decode(clips, "xx"))
    knows_cantonese = "<|yue|>" in load_whisper(made[0])[1].get_vocab()
    if knows_cantonese:
        assert len(engine.prompt("yue")) == 4
    else:
        with pytest.raises(UserError, match="does not know the language 'yue'"):
            engine.prompt("yue")


def test_float32_is_opened_and_not_computed(made, clips, tmp_path):
    write_ggml(made[0], tmp_path / "f32.bin", "f32")
    open_in_child(tmp_path / "f32.bin", 1)
    engine = WhisperCpp(tmp_path / "f32.bin", 1)
    for use in (lambda: dict(engine.greedy(clips, "de")), lambda: dict(engine.default(clips, "de"))):
        with pytest.raises(UserError, match=r"f32.bin: float32; whisper.cpp opens it and ends the process .* take f16"):
            use()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: b"no model at all", "bad magic"),
        (lambda data: b"", "bad magic"),
        (lambda data: data[: len(data) // 2], "not all tensors loaded"),
        (lambda data: data[:4] + b"\xff\xff\xff\x7f" * 3 + data[16:], r"status -6"),  # whisper.cpp aborts
    ],
    ids=["text", "empty", "half", "sizes"],
)
def test_a_broken_file_is_one_message_even_if_whisper_cpp_aborts(made, tmp_path, damage, said):
    file = tmp_path / "broken.bin"
    file.write_bytes(damage(made[1].read_bytes()))
    with pytest.raises(UserError, match=f"broken.bin: whisper.cpp cannot open it; convert the model again: .*{said}"):
        open_in_child(file, 1)


def test_a_file_that_ends_before_its_vocabulary_does_is_refused(made, tmp_path):
    """Cut in the middle of a token's length, whisper.cpp opened it for hours."""
    data = made[1].read_bytes()
    text = load_whisper(made[0])[1].eos_token_id
    vocabulary = 4 + 11 * 4 + 8 + 4 * int.from_bytes(data[48:52], "little") * 201 + 4
    ends = [vocabulary]
    for _ in range(text):
        ends.append(ends[-1] + 4 + int.from_bytes(data[ends[-1] : ends[-1] + 4], "little"))
    file = tmp_path / "cut.bin"
    for end in (4, 30, 50, 60, vocabulary - 2, vocabulary, ends[1] - 1, ends[700] + 2, ends[-1] - 1):
        file.write_bytes(data[:end])
        with pytest.raises(UserError, match=r"cut\.bin: half a file, it ends before its vocabulary does; convert"):
            open_in_child(file, 1)
    file.write_bytes(data[: ends[-1]])  # all of it, and no weight
    with pytest.raises(UserError, match="no tensors loaded"):
        open_in_child(file, 1)


def test_a_file_without_permission_is_one_message(made, monkeypatch):
    def denied(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    for opened in (lambda: open_in_child(made[1], 1), lambda: ggml_file(made[1])):
        with pytest.raises(UserError, match=r"\.bin: cannot be read \(Permission denied\); mend that, or"):
            opened()


def test_it_says_nothing_of_its_own(made):
    open_in_child(made[1], 1)
    code = f"""
import sys; sys.path.insert(0, {str(SCRIPTS)!r})
from pathlib import Path
import numpy as np
from asr.whisper_cpp import WhisperCpp
engine = WhisperCpp(Path({str(made[1])!r}), 1)
engine.log_probabilities(np.zeros(16000, np.float32), engine.prompt("de"), [400])
dict(engine.default([np.zeros(16000, np.float32)], "de"))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
