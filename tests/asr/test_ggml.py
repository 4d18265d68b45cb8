"""Whatever is written is read back, by a reader of its own: sizes, filters, vocabulary, and every tensor."""

import base64
import json
import struct
from importlib.resources import files

import numpy as np
import pytest
import torch
import whisper
from gguf import GGMLQuantizationType
from gguf.quants import dequantize
from safetensors.torch import load_file, save_file
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration
from whisper.model import ModelDimensions, Whisper

from asr.errors import UserError
from asr.ggml import TYPES, require_whisper_cpp_shape, tensor_names, write_ggml
from asr.model import load_whisper, save_whisper
from asr.new_model import new_whisper
from asr.vocabulary import whisper_tokenizer

BLOCK = 32
# ggml's own numbers of types (ggml.h): of a file, of a matrix in it, and the half step of a block, relative to its range.
FILE_TYPES = {"f32": 0, "f16": 1, "q8_0": 2007, "q5_1": 2009, "q5_0": 2008}
MATRIX_TYPES = {"f32": 0, "f16": 1, "q8_0": 8, "q5_1": 7, "q5_0": 6}
ONES = ("positional_embedding", "bias", "ln.weight", "ln_post.weight")


def save(folder, mels=80, width=64, decoder_layers=3, **options):
    model = new_whisper(mels, width, 2, encoder_layers=2, decoder_layers=decoder_layers, seed=0, **options)
    torch.manual_seed(0)
    with torch.no_grad():  # norms and biases are ones and zeros, which no mistake would move
        for weight in model.parameters():
            if weight.ndim == 1:
                weight.normal_(1, 0.1)
    save_whisper(folder, model, whisper_tokenizer(mels), WhisperFeatureExtractor(mels))
    return folder


@pytest.fixture(scope="module", params=[80, 128], ids=["80 mels", "128 mels"])
def model_dir(request, tmp_path_factory):
    return save(tmp_path_factory.mktemp("ggml") / "model", request.param)


@pytest.fixture(scope="module")
def small_dir(tmp_path_factory):
    return save(tmp_path_factory.mktemp("ggml") / "model")


def read(file):
    """Sizes, filters `[mels, 201]`, the tokens' bytes, and name -> (type, ne, bytes), as whisper.cpp's loader reads them."""
    data, at = file.read_bytes(), 0

    def numbers(count, form="i"):
        nonlocal at
        at += 4 * count
        return struct.unpack(f"<{count}{form}", data[at - 4 * count : at])

    def taken(count):
        nonlocal at
        at += count
        return data[at - count : at]

    assert numbers(1, "I") == (0x67676D6C,)
    sizes = numbers(11)
    mels, bins = numbers(2)
    filters = np.array(numbers(mels * bins, "f"), np.float32).reshape(mels, bins)
    tokens = [taken(numbers(1)[0]) for _ in range(numbers(1)[0])]
    tensors = {}
    while at < len(data):
        dimensions, length, kind = numbers(3)
        ne = numbers(dimensions)
        name = taken(length).decode()
        assert name not in tensors
        per_block = {0: (1, 4), 1: (1, 2), 6: (32, 22), 7: (32, 24), 8: (32, 34)}[kind]  # weights, bytes
        tensors[name] = kind, ne, taken(int(np.prod(ne)) // per_block[0] * per_block[1])
    return sizes, filters, tokens, tensors


def values(kind, ne, data):
    rows = np.frombuffer(bytearray(data), np.uint8).reshape(*reversed(ne[1:]), -1)
    return dequantize(rows, GGMLQuantizationType(kind)).reshape(tuple(reversed(ne)))


def half_step(matrix, name):
    """The largest error `[rows, blocks, 1]` that a block's own range allows, its scale rounded to float16."""
    blocks = matrix.reshape(len(matrix), -1, BLOCK)
    largest = np.abs(blocks).max(-1, keepdims=True)
    if name == "q8_0":  # 127 steps on each side
        return largest * (0.5 / 127 + 2**-11)
    if name == "q5_0":  # 16 steps on the side of the largest, 15 on the other
        return largest * (1 / 16 + 2**-11)
    reach = blocks.max(-1, keepdims=True) - blocks.min(-1, keepdims=True)  # q5_1: 31 steps, and a minimum
    return reach * (0.5 / 31 + 2**-11) + largest * 2**-11


@pytest.mark.parametrize("name", TYPES)
def test_every_tensor_comes_back(model_dir, tmp_path, name):
    write_ggml(model_dir, tmp_path / "model.bin", name)
    sizes, _, _, tensors = read(tmp_path / "model.bin")
    config = json.loads((model_dir / "config.json").read_text())
    assert sizes == (config["vocab_size"], 1500, 64, 2, 2, 448, 64, 2, 3, config["num_mel_bins"], FILE_TYPES[name])
    model, _, _ = load_whisper(model_dir)
    weights = {key: value.detach().numpy() for key, value in model.named_parameters()}
    pairs = dict(tensor_names(model.config))
    assert set(pairs) == set(weights) and set(pairs.values()) == set(tensors)
    for source, target in pairs.items():
        kind, ne, data = tensors[target]
        found, expected = values(kind, ne, data), weights[source]
        if target in ("encoder.conv1.bias", "encoder.conv2.bias"):
            assert ne == (1, 64)
            expected = expected[:, None]
        assert found.shape == expected.shape
        is_matrix = expected.ndim == 2 and not target.endswith(ONES)
        if name == "f32" or target.endswith(ONES):
            assert kind == 0 and np.array_equal(found, expected)
        elif name == "f16" or not is_matrix:  # convolutions stay float16
            assert kind == 1 and np.array_equal(found, expected.astype(np.float16))
        else:
            assert kind == MATRIX_TYPES[name]
            error = np.abs(found - expected).reshape(len(expected), -1, BLOCK)
            assert (error <= half_step(expected, name)).all(), target
            assert error.any()


def test_openai_whisper_takes_the_tensors_by_name_and_says_what_transformers_says(model_dir, tmp_path):
    write_ggml(model_dir, tmp_path / "model.bin", "f32")
    (*sizes, _), _, _, tensors = read(tmp_path / "model.bin")
    theirs = Whisper(ModelDimensions(sizes[9], *sizes[1:5], sizes[0], *sizes[5:9])).eval()
    weights = {name: torch.from_numpy(values(*tensor)) for name, tensor in tensors.items()}
    for name in ("encoder.conv1.bias", "encoder.conv2.bias"):
        weights[name] = weights[name][:, 0]
    theirs.load_state_dict(weights)
    heard = torch.randn(1, sizes[9], 3000, generator=torch.Generator().manual_seed(0))
    said = torch.tensor([[50258, 50261, 50359, 50363, 400, 401]])
    with torch.inference_mode():
        expected = load_whisper(model_dir)[0].eval()(heard, decoder_input_ids=said).logits
        torch.testing.assert_close(theirs(heard, said), expected, rtol=1e-4, atol=1e-4)


def test_tokens_are_tiktokens_bytes_and_filters_are_openai_whispers(model_dir, tmp_path):
    write_ggml(model_dir, tmp_path / "model.bin", "f16")
    sizes, filters, tokens, _ = read(tmp_path / "model.bin")
    assets = files(whisper) / "assets"
    ranks = [line.split() for line in (assets / "multilingual.tiktoken").read_text().splitlines()]
    assert [int(rank) for _, rank in ranks] == list(range(50257))
    # The last rank is the empty string, "=" in that file. The rest, from <|endoftext|> on, whisper.cpp names itself.
    assert tokens == [base64.b64decode(token) if token != "=" else b"" for token, _ in ranks]
    assert sizes[0] == {80: 51865, 128: 51866}[len(filters)]
    theirs = np.load(str(assets / "mel_filters.npz"))[f"mel_{len(filters)}"]
    assert filters.shape == theirs.shape == (sizes[9], 201)
    np.testing.assert_allclose(filters, theirs, rtol=1e-6, atol=3e-9)  # computed in float64 here, in float32 there


def test_bfloat16_and_shards_are_read(small_dir, tmp_path):
    write_ggml(small_dir, tmp_path / "whole.bin", "f32")
    model, tokenizer, feature_extractor = load_whisper(small_dir)
    for dtype, shards in ((torch.float32, "5MB"), (torch.bfloat16, "1GB")):
        folder = tmp_path / str(dtype)
        save_whisper(folder, model.to(dtype), tokenizer, feature_extractor)
        (folder / "model.safetensors").unlink()
        WhisperForConditionalGeneration.save_pretrained(model, folder, max_shard_size=shards)
        assert (folder / "model.safetensors.index.json").exists() == (shards == "5MB")
        write_ggml(folder, folder / "model.bin", "f32")
        found, whole = (read(file)[3] for file in (folder / "model.bin", tmp_path / "whole.bin"))
        for name in whole:
            expected = torch.from_numpy(values(*whole[name])).to(dtype).float().numpy()
            assert np.array_equal(values(*found[name]), expected)


def changed(model_dir, folder, **config):
    """A copy with other values in config.json."""
    model, tokenizer, feature_extractor = load_whisper(model_dir)
    save_whisper(folder, model, tokenizer, feature_extractor)
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | config))
    return folder


@pytest.mark.parametrize("count", [1, 2])
def test_added_tokens_are_refused_with_the_reason(small_dir, tmp_path, count):
    model, tokenizer, feature_extractor = load_whisper(small_dir)
    tokenizer.add_tokens([f"<|kitchen{number}|>" for number in range(count)])
    model.resize_token_embeddings(len(tokenizer))
    save_whisper(tmp_path, model, tokenizer, feature_extractor)
    with pytest.raises(UserError, match=rf"{len(tokenizer)} tokens, of which <\|kitchen0\|>.*languages.*moves the ids"):
        require_whisper_cpp_shape(tmp_path, ["f16"])


def test_two_decoder_layers_are_a_distilled_model_unless_there_are_128_mels(tmp_path):
    with pytest.raises(
        UserError, match=r"2 layers; whisper\.cpp takes every such model with 51865 tokens for a distilled"
    ):
        require_whisper_cpp_shape(save(tmp_path / "80", 80, decoder_layers=2), ["f16"])
    require_whisper_cpp_shape(save(tmp_path / "128", 128, decoder_layers=2), ["f16"])


def test_what_whisper_cpp_cannot_run_is_refused(small_dir, tmp_path):
    require_whisper_cpp_shape(small_dir, list(TYPES))
    narrow = save(tmp_path / "narrow", width=16)
    require_whisper_cpp_shape(narrow, ["f32", "f16"])
    with pytest.raises(UserError, match="a width of 16 cannot be written as q5_1, whose blocks hold 32"):
        require_whisper_cpp_shape(narrow, ["f16", "q5_1"])
    with pytest.raises(UserError, match=r"config.json: encoder_ffn_dim 128 \(not 256\); whisper.cpp"):
        require_whisper_cpp_shape(changed(small_dir, tmp_path / "thin", encoder_ffn_dim=128), ["f16"])


def test_weights_that_cannot_be_written_are_named(small_dir, tmp_path):
    folder = changed(small_dir, tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    broken = "model.decoder.layers.1.fc1.weight"
    for value, name, said in ((1e5, "f16", "holds 100000, more than float16"), (torch.nan, "q8_0", "no finite")):
        save_file(
            weights | {broken: torch.full_like(weights[broken], value)}, folder / "model.safetensors", {"format": "pt"}
        )
        with pytest.raises(UserError, match=f"{broken} {'' if 'float16' in said else 'holds values that are '}{said}"):
            write_ggml(folder, tmp_path / "out.bin", name)
    save_file(
        {name: weights[name] for name in weights if name != broken}, folder / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(UserError, match=f"{broken} cannot be read; make or copy the model again"):
        write_ggml(folder, tmp_path / "out.bin", "f16")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"no model\.safetensors; load the model with transformers and save it again"):
        write_ggml(folder, tmp_path / "out.bin", "f16")
