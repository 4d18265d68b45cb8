"""A plain Whisper as one file in the form of whisper.cpp: its own ggml format, older than GGUF and still the one it reads.

    write_ggml(Path("outputs/merge_lora"), Path("ggml-model.bin"), "q5_1")

In: a folder in base_model's form, weights as safetensors. Out: magic, 11 sizes, mel filters, vocabulary, then each tensor
with its name, shape and type. All numbers are little-endian, int32 and float32. Tensors are read, quantised and written one
at a time, so that the memory it takes depends on the largest of them.

Source: whisper.cpp 1.8.5, `whisper_model_load` in src/whisper.cpp, models/convert-h5-to-ggml.py for the names, and
examples/quantize for what is quantised.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from gguf import GGML_QUANT_SIZES, GGML_QUANT_VERSION, GGMLQuantizationType, LlamaFileType
from gguf.quants import quantize
from transformers import WhisperConfig, WhisperForConditionalGeneration, WhisperTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from asr.errors import UserError
from asr.exportable import require_own_vocabulary
from asr.model import load_without_weights
from asr.weights import Weights
from asr.whisper_shape import ENGLISH_VOCABULARY_SIZE, VOCABULARY_SIZES, WINDOW_FRAMES

MAGIC = 0x67676D6C  # "ggml"
TYPES = {
    "f32": (GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
    "f16": (GGMLQuantizationType.F16, LlamaFileType.MOSTLY_F16),
    "q8_0": (GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0),
    "q5_1": (GGMLQuantizationType.Q5_1, LlamaFileType.MOSTLY_Q5_1),
    "q5_0": (GGMLQuantizationType.Q5_0, LlamaFileType.MOSTLY_Q5_0),
}
QUANTISATION_FACTOR = 1000  # a quantised file's type is its version times this, plus the type

# Names in transformers and in openai-whisper, which whisper.cpp's are.
ENCODER = {
    "conv1.weight": "conv1.weight",
    "conv1.bias": "conv1.bias",
    "conv2.weight": "conv2.weight",
    "conv2.bias": "conv2.bias",
    "embed_positions.weight": "positional_embedding",
    "layer_norm.weight": "ln_post.weight",
    "layer_norm.bias": "ln_post.bias",
}
DECODER = {
    "embed_tokens.weight": "token_embedding.weight",
    "embed_positions.weight": "positional_embedding",
    "layer_norm.weight": "ln.weight",
    "layer_norm.bias": "ln.bias",
}
ATTENTION = {"q_proj": "query", "k_proj": "key", "v_proj": "value", "out_proj": "out"}
BLOCK = {"self_attn_layer_norm": "attn_ln", "fc1": "mlp.0", "fc2": "mlp.2", "final_layer_norm": "mlp_ln"}

MISREAD = (
    "whisper.cpp takes the number of tokens for the number of languages, so that each added token moves the ids of "
    "tasks and timestamps by one"
)


def require_whisper_cpp_shape(model_dir: Path, types: list[str]) -> None:
    """Refuse what whisper.cpp would not open, or open and then run wrongly.

    Raises:
        UserError: no plain Whisper, added tokens, a decoder of two layers, other proportions than Whisper's, or a width
            that the blocks of a quantised type do not divide.
    """
    config, _, _ = require_own_vocabulary(model_dir, MISREAD)
    # distil-medium.en is one: whisper.cpp decodes it without timestamps on purpose.
    if config.decoder_layers == 2 and config.vocab_size not in (ENGLISH_VOCABULARY_SIZE, VOCABULARY_SIZES[128]):
        raise UserError(
            f"{model_dir}: the decoder has 2 layers; whisper.cpp takes every such model with {config.vocab_size} tokens "
            f"for a distilled one and decodes it without timestamps; train one with 1, 3 or more layers, or with 128 mels "
            f"({VOCABULARY_SIZES[128]} tokens)"
        )
    wanted = {
        "activation_function": "gelu",
        "scale_embedding": False,
        "tie_word_embeddings": True,
        "max_source_positions": WINDOW_FRAMES // 2,
        "encoder_ffn_dim": 4 * config.d_model,
        "decoder_ffn_dim": 4 * config.d_model,
    }
    if wrong := [name for name in wanted if getattr(config, name) != wanted[name]]:
        found = ", ".join(f"{name} {getattr(config, name)} (not {wanted[name]})" for name in wrong)
        raise UserError(f"{model_dir}/config.json: {found}; whisper.cpp runs Whispers of OpenAI's proportions alone")
    for name in types:
        block, _ = GGML_QUANT_SIZES[TYPES[name][0]]
        if config.d_model % block:
            raise UserError(
                f"{model_dir}: a width of {config.d_model} cannot be written as {name}, whose blocks hold {block} weights; "
                "take f16 or f32"
            )


def write_ggml(model_dir: Path, file: Path, name: str) -> None:
    """Write a model that `require_whisper_cpp_shape` has let pass.

    As whisper.cpp's `quantize` does it, matrices are quantised and nothing else: convolutions stay float16, biases, norms
    and positions float32. They are quantised from the model's own weights, not from a float16 copy.

    Args:
        name: of the type: f32, f16, q8_0, q5_1 or q5_0.

    Raises:
        UserError: the weights cannot be read, are not all there, or hold values that the type cannot.
    """
    config, tokenizer, feature_extractor = load_without_weights(model_dir)
    matrix_type, file_type = TYPES[name]
    is_quantised = matrix_type not in (GGMLQuantizationType.F32, GGMLQuantizationType.F16)
    weights = Weights(model_dir)
    with torch.device("meta"):  # shapes alone
        shapes = {name: of.shape for name, of in WhisperForConditionalGeneration(config).state_dict().items()}
    remedy = "copy the weights and config.json from the same model"
    if too_many := sorted(name for name in weights.names() - shapes.keys() if name.startswith("model.")):
        raise UserError(f"{model_dir}: config.json is of another model, the weights have {too_many[0]} too; {remedy}")
    with file.open("wb") as out:
        out.write(struct.pack("<I", MAGIC))
        version = GGML_QUANT_VERSION * QUANTISATION_FACTOR if is_quantised else 0
        out.write(struct.pack("<11i", *_sizes(config), version + file_type))
        filters = np.ascontiguousarray(feature_extractor.mel_filters.T, "<f4")  # [mels, 201]
        out.write(struct.pack("<2i", *filters.shape))
        out.write(filters.tobytes())
        tokens = token_bytes(tokenizer)
        out.write(struct.pack("<i", len(tokens)))
        for token in tokens:
            out.write(struct.pack("<i", len(token)))
            out.write(token)
        for source, target in tensor_names(config):
            array = weights.read(source)
            if array.shape != shapes[source]:
                raise UserError(
                    f"{model_dir}: {source} is of another shape, {list(array.shape)}, not {list(shapes[source])}; {remedy}"
                )
            kind = _type_of(target, array, matrix_type)
            largest = max(-array.min(), array.max())  # or nan, if there is one
            if not np.isfinite(largest):
                raise UserError(f"{model_dir}: {source} holds values that are no finite numbers; train the model again")
            if kind == GGMLQuantizationType.F16 and largest > np.finfo(np.float16).max:
                raise UserError(f"{model_dir}: {source} holds {largest:.0f}, more than float16 can; convert it to f32")
            if target in ("encoder.conv1.bias", "encoder.conv2.bias"):
                array = array[:, None]  # added to [width, frames]
            title = target.encode()
            out.write(struct.pack("<3i", array.ndim, len(title), kind))
            out.write(struct.pack(f"<{array.ndim}i", *reversed(array.shape)))
            out.write(title)
            out.write(np.ascontiguousarray(quantize(array, kind)).data)


def tensor_names(config: WhisperConfig) -> Iterator[tuple[str, str]]:
    """Each tensor's name in transformers' files and in whisper.cpp's, in the order of the layers."""
    for side, layers, own in (
        ("encoder", config.encoder_layers, ENCODER),
        ("decoder", config.decoder_layers, DECODER),
    ):
        for source, target in own.items():
            yield f"model.{side}.{source}", f"{side}.{target}"
        parts = dict(BLOCK)
        attentions = [("self_attn", "attn")]
        if side == "decoder":
            parts["encoder_attn_layer_norm"] = "cross_attn_ln"
            attentions.append(("encoder_attn", "cross_attn"))
        for attention, short in attentions:
            parts |= {f"{attention}.{source}": f"{short}.{target}" for source, target in ATTENTION.items()}
        for layer in range(layers):
            for source, target in parts.items():
                # Whisper's keys have no bias.
                for kind in ("weight",) if source.endswith("k_proj") else ("weight", "bias"):
                    yield f"model.{side}.layers.{layer}.{source}.{kind}", f"{side}.blocks.{layer}.{target}.{kind}"


def token_bytes(tokenizer: WhisperTokenizer) -> list[bytes]:
    """What each token below `<|endoftext|>` says, by its id.

    whisper.cpp names the tokens above them itself, by the number of tokens that the model has.
    """
    bytes_of = {letter: byte for byte, letter in bytes_to_unicode().items()}
    tokens = tokenizer.convert_ids_to_tokens(range(tokenizer.eos_token_id))
    return [
        bytes(bytes_of[letter] for letter in token or "") for token in tokens
    ]  # None or "": the one that says nothing


def _sizes(config: WhisperConfig) -> tuple[int, ...]:
    return (
        config.vocab_size,
        config.max_source_positions,
        config.d_model,
        config.encoder_attention_heads,
        config.encoder_layers,
        config.max_target_positions,
        config.d_model,
        config.decoder_attention_heads,
        config.decoder_layers,
        config.num_mel_bins,
    )


def _type_of(target: str, array: np.ndarray, matrix_type: GGMLQuantizationType) -> GGMLQuantizationType:
    if array.ndim == 1 or target.endswith("positional_embedding") or matrix_type == GGMLQuantizationType.F32:
        return GGMLQuantizationType.F32
    return matrix_type if array.ndim == 2 else GGMLQuantizationType.F16
