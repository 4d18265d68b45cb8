"""The graphs compute what transformers computes, for any batch and length, under the names that their readers look for."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnxruntime import InferenceSession
from transformers import WhisperForConditionalGeneration

from asr.errors import UserError
from asr.new_model import new_whisper
from asr.onnx_export import DYNAMIC_AXES, FILES, IR_VERSION, OPSET, cache_names, check, export_onnx, quantize

LAYERS, WIDTH, HEADS = 2, 32, 2


def small(mels: int) -> WhisperForConditionalGeneration:
    """Random weights, large enough that no part of the model goes unnoticed."""
    model = new_whisper(mels=mels, width=WIDTH, heads=HEADS, encoder_layers=1, decoder_layers=LAYERS, seed=0).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        model.model.decoder.embed_positions.weight.normal_(0, 1)
        for name, weight in model.named_parameters():
            if "layers" in name:  # biases and norms too, which start as zeros and ones
                weight.add_(torch.randn_like(weight), alpha=0.1)
    return model


@pytest.fixture(scope="module", params=[80, 128], ids=["80 mels", "128 mels"])
def exported(request, tmp_path_factory):
    folder, model = tmp_path_factory.mktemp("onnx"), small(request.param)
    export_onnx(model, folder)
    return model, folder


def session(file: Path) -> InferenceSession:
    return InferenceSession(file, providers=["CPUExecutionProvider"])


def run(file: Path, **feeds) -> dict[str, np.ndarray]:
    opened = session(file)
    return dict(zip([output.name for output in opened.get_outputs()], opened.run(None, feeds), strict=True))


def shapes(values) -> dict[str, list]:
    return {value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim] for value in values}


def inputs_of(batch: int, tokens: int, positions: int = 1500) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(batch * 100 + tokens)
    ids = torch.randint(0, 51865, (batch, tokens), generator=generator)
    return ids, torch.randn(batch, positions, WIDTH, generator=generator)


def expected_logits(model, ids, states) -> np.ndarray:
    with torch.no_grad():
        return model(encoder_outputs=(states,), decoder_input_ids=ids).logits.numpy()


def test_names_and_axes_are_those_that_optimum_writes(exported):
    model, folder = exported
    batch, said, now = "batch_size", "past_decoder_sequence_length", "decoder_sequence_length"
    heard, vocabulary, head = "encoder_sequence_length", model.config.vocab_size, WIDTH // HEADS
    assert {path.name for path in folder.iterdir()} == set(FILES)
    encoder, decoder, with_past = (onnx.load(folder / name).graph for name in FILES)
    assert shapes(encoder.input) == {"input_features": [batch, model.config.num_mel_bins, 3000]}
    assert shapes(encoder.output) == {"last_hidden_state": [batch, 1500, WIDTH]}
    assert shapes(decoder.input) == {"input_ids": [batch, now], "encoder_hidden_states": [batch, heard, WIDTH]}
    for part, length in (("decoder", now), ("encoder", heard)):
        for name in (name for name in cache_names("present", LAYERS) if part in name):
            assert shapes(decoder.output)[name] == [batch, HEADS, length, head], name
    assert shapes(decoder.output)["logits"] == [batch, now, vocabulary]
    assert [value.name for value in decoder.output] == ["logits", *cache_names("present", LAYERS)]
    past = {
        name: [batch, HEADS, said if "decoder" in name else heard, head]
        for name in cache_names("past_key_values", LAYERS)
    }
    assert list(past)[:4] == [
        f"past_key_values.0.{part}" for part in ("decoder.key", "decoder.value", "encoder.key", "encoder.value")
    ]
    assert shapes(with_past.input) == {"input_ids": [batch, 1]} | past
    present = [name for name in cache_names("present", LAYERS) if "decoder" in name]
    assert shapes(with_past.output) == {"logits": [batch, 1, vocabulary]} | {
        name: [batch, HEADS, f"{said} + 1", head] for name in present
    }


def test_each_graph_is_valid_and_says_what_it_is(exported):
    model, folder = exported
    check(folder)
    for name in FILES:
        graph = onnx.load(folder / name)
        assert [(opset.domain, opset.version) for opset in graph.opset_import] == [("", OPSET)]
        # The IR version of that opset, so that no older onnxruntime refuses the file.
        assert graph.ir_version == IR_VERSION == onnx.helper.find_min_ir_version_for(graph.opset_import)
        said = {item.key: item.value for item in graph.metadata_props}
        assert said.pop("dynamic_axes") == json.dumps(DYNAMIC_AXES[name])
        assert said == {
            "model_type": "whisper",
            "opset": str(OPSET),
            "mels": str(model.config.num_mel_bins),
            "vocabulary": str(model.config.vocab_size),
        }


def test_nothing_of_the_machine_is_in_a_file(exported):
    for name in FILES:
        content = (exported[1] / name).read_bytes()
        for path in (str(Path(__file__).parents[2]), sys.prefix, "site-packages", "onnx_export"):
            assert path.encode() not in content


def test_the_embedding_is_in_a_file_once(exported):
    model, folder = exported
    for name in FILES[1:]:
        shapes = [list(weight.dims) for weight in onnx.load(folder / name).graph.initializer]
        assert sum(model.config.vocab_size in shape for shape in shapes) == 1


@pytest.mark.parametrize("batch", [1, 3])
def test_the_encoder_is_the_models(exported, batch):
    model, folder = exported
    features = torch.randn(batch, model.config.num_mel_bins, 3000, generator=torch.Generator().manual_seed(batch))
    with torch.no_grad():
        expected = model.model.encoder(features).last_hidden_state.numpy()
    got = run(folder / FILES[0], input_features=features.numpy())["last_hidden_state"]
    np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize(("batch", "tokens", "positions"), [(1, 1, 1500), (3, 7, 1500), (2, 4, 300), (1, 448, 20)])
def test_the_decoder_is_the_models_whatever_the_batch_and_lengths(exported, batch, tokens, positions):
    model, folder = exported
    ids, states = inputs_of(batch, tokens, positions)
    got = run(folder / FILES[1], input_ids=ids.numpy(), encoder_hidden_states=states.numpy())
    np.testing.assert_allclose(got["logits"], expected_logits(model, ids, states), atol=1e-4)
    with torch.no_grad():
        cache = model.model.decoder(ids, encoder_hidden_states=states, use_cache=True).past_key_values
    for part, layers in (("decoder", cache.self_attention_cache), ("encoder", cache.cross_attention_cache)):
        for index, layer in enumerate(layers.layers):
            np.testing.assert_allclose(got[f"present.{index}.{part}.key"], layer.keys, atol=1e-4)
            np.testing.assert_allclose(got[f"present.{index}.{part}.value"], layer.values, atol=1e-4)


@pytest.mark.parametrize(("batch", "prompt", "positions"), [(1, 4, 1500), (3, 1, 1500), (2, 3, 50)])
def test_token_by_token_with_the_past_is_the_same_as_all_at_once(exported, batch, prompt, positions):
    model, folder = exported
    ids, states = inputs_of(batch, prompt + 5, positions)
    expected = expected_logits(model, ids, states)
    outputs = run(folder / FILES[1], input_ids=ids[:, :prompt].numpy(), encoder_hidden_states=states.numpy())
    past, opened = {}, session(folder / FILES[2])
    for place in range(prompt, prompt + 5):
        past |= {
            name.replace("present", "past_key_values"): value for name, value in outputs.items() if name != "logits"
        }
        names = [output.name for output in opened.get_outputs()]
        got = opened.run(names, {"input_ids": ids[:, place : place + 1].numpy()} | past)
        outputs = dict(zip(names, got, strict=True))
        np.testing.assert_allclose(outputs["logits"][:, 0], expected[:, place], atol=1e-4)


@pytest.mark.slow
def test_a_second_export_is_the_same_and_weights_too_large_for_one_file_stand_beside_it(exported, tmp_path):
    model, folder = exported
    export_onnx(model, tmp_path, most_bytes=1_000_000)
    assert {path.name for path in tmp_path.iterdir()} == {*FILES, *(f"{name}_data" for name in FILES[1:])}
    assert (tmp_path / FILES[0]).read_bytes() == (folder / FILES[0]).read_bytes()  # less than that
    check(tmp_path)
    ids, states = inputs_of(2, 5)
    feeds = {"input_ids": ids.numpy(), "encoder_hidden_states": states.numpy()}
    np.testing.assert_array_equal(
        run(tmp_path / FILES[1], **feeds)["logits"], run(folder / FILES[1], **feeds)["logits"]
    )
    (quantized := tmp_path / "int8").mkdir()
    quantize(tmp_path, quantized)
    assert {path.name for path in quantized.iterdir()} == set(FILES)  # a quarter of the size fits again
    np.testing.assert_allclose(
        run(quantized / FILES[1], **feeds)["logits"], run(folder / FILES[1], **feeds)["logits"], atol=0.5
    )


def test_eight_bits_are_smaller_and_near(exported, tmp_path):
    model, folder = exported
    quantize(folder, tmp_path)
    check(tmp_path)
    for name in FILES[1:]:
        # Mostly the embedding, which a row looks up and the logits multiply with, each in its own form of 8 bits.
        assert (tmp_path / name).stat().st_size < 0.6 * (folder / name).stat().st_size
        graph = onnx.load(tmp_path / name).graph
        places = [list(weight.dims) for weight in graph.initializer if weight.data_type == onnx.TensorProto.FLOAT]
        assert [448, WIDTH] in places and [model.config.vocab_size, WIDTH] not in places
        assert not any(weight.data_type == onnx.TensorProto.INT8 for weight in graph.initializer)
    ids, states = inputs_of(2, 5)
    got = run(tmp_path / FILES[1], input_ids=ids.numpy(), encoder_hidden_states=states.numpy())["logits"]
    expected = expected_logits(model, ids, states)
    assert np.corrcoef(got.ravel(), expected.ravel())[0, 1] > 0.999
    assert np.abs(got - expected).max() > 1e-3  # 8 bits they are


def test_a_graph_that_is_cut_off_is_not_valid(exported, tmp_path):
    for name in FILES:
        content = (exported[1] / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"encoder_model.onnx: not valid ONNX; convert the model again"):
        check(tmp_path)


@pytest.mark.slow
def test_the_export_takes_a_few_times_the_weights_in_memory(tmp_path):
    """In a process of its own, of a model of whisper-tiny's shape, beyond what the libraries take."""
    code = f"""
from pathlib import Path
from asr.new_model import new_whisper
from asr.onnx_export import export_onnx
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) * 1024
folder = Path({str(tmp_path)!r})
(folder / "first").mkdir()
export_onnx(new_whisper(mels=80, width=32, heads=2, encoder_layers=1, decoder_layers=1, seed=0), folder / "first")
before = peak()
model = new_whisper(mels=80, width=384, heads=6, encoder_layers=4, decoder_layers=4, seed=0)
size = sum(weight.nbytes for weight in model.parameters())
export_onnx(model, folder)
print((peak() - before) / size)
"""
    path = str(Path(__file__).parents[2] / "scripts")
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert float(done.stdout.split()[-1]) < 4
