"""Short contexts change nothing about full ones, and are an encoder with that many positions."""

import copy
import json

import pytest
import torch
from transformers import WhisperFeatureExtractor

from asr.model import load_whisper, save_whisper
from asr.new_model import new_whisper
from asr.short_context import allow_short_context
from asr.vocabulary import whisper_tokenizer


def small():
    return new_whisper(mels=80, width=32, heads=2, encoder_layers=2, decoder_layers=3, seed=0)


@pytest.fixture(scope="module")
def model():
    return small().eval()


@pytest.fixture(scope="module")
def short(model):
    changed = copy.deepcopy(model)
    allow_short_context(changed)
    return changed


def test_full_windows_are_encoded_as_ever(model, short):
    features = torch.randn(2, 80, 3000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model.model.encoder(features).last_hidden_state
        assert torch.equal(short.model.encoder(features).last_hidden_state, expected)
    assert model.state_dict().keys() == short.state_dict().keys()


def test_a_short_window_is_an_encoder_with_that_many_positions(model, short):
    features = torch.randn(2, 80, 600, generator=torch.Generator().manual_seed(0))
    shorter = copy.deepcopy(model.model.encoder)
    shorter.config = copy.deepcopy(shorter.config)
    shorter.config.max_source_positions = 300
    shorter.embed_positions = torch.nn.Embedding.from_pretrained(shorter.embed_positions.weight[:300])
    with torch.no_grad():
        expected = shorter(features).last_hidden_state
        assert torch.equal(short.model.encoder(features).last_hidden_state, expected)


@pytest.mark.parametrize("frames", [0, 601, 3002])
def test_lengths_that_do_not_fit_are_refused(short, frames):
    with pytest.raises(ValueError, match=str(frames)):
        short.model.encoder(torch.zeros(1, 80, frames))


@pytest.mark.parametrize("frames", [200, 3000])
@pytest.mark.parametrize(
    "options", [{}, {"return_timestamps": True}, {"num_beams": 2}], ids=["greedy", "timestamps", "beam"]
)
def test_generate_keeps_the_length_it_is_given(short, model, frames, options):
    features = torch.randn(2, 80, frames, generator=torch.Generator().manual_seed(0))
    lengths = []
    hook = short.model.encoder.conv1.register_forward_pre_hook(lambda _, inputs: lengths.append(inputs[0].shape[-1]))
    options = {"language": "de", "task": "transcribe", "max_new_tokens": 5} | options
    got = short.generate(input_features=features, **options)
    hook.remove()
    assert set(lengths) == {frames}
    if frames == 3000:
        assert torch.equal(got, model.generate(input_features=features, **options))


def test_language_is_detected_in_a_short_context(short):
    features = torch.randn(1, 80, 400, generator=torch.manual_seed(0))
    (token,) = short.detect_language(input_features=features).tolist()
    assert token in short.generation_config.lang_to_id.values()


def test_gradients_are_the_same_with_checkpointing():
    features, labels = torch.randn(2, 80, 400), torch.tensor([[50258, 50261, 50359, 50363, 400, 50257]] * 2)
    gradients = []
    for checkpointing in (False, True):
        model = small().train()
        allow_short_context(model)
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        model(input_features=features, labels=labels).loss.backward()
        gradients.append(model.model.encoder.layers[0].fc1.weight.grad)
    assert gradients[0].abs().sum() > 0
    torch.testing.assert_close(*gradients)


def test_hidden_states_and_attentions_are_still_captured(short):
    with torch.no_grad():
        got = short.model.encoder(torch.zeros(1, 80, 400), output_hidden_states=True)
    assert [tuple(state.shape) for state in got.hidden_states] == [(1, 200, 32)] * 3


def test_a_changed_model_is_saved_as_a_plain_whisper(short, tmp_path):
    save_whisper(tmp_path, short, whisper_tokenizer(80), WhisperFeatureExtractor(80))
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == ["WhisperForConditionalGeneration"]
    assert type(load_whisper(tmp_path)[0].model.encoder).__name__ == "WhisperEncoder"
