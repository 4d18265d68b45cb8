"""A plain Whisper as three ONNX graphs, with the names of files, inputs and outputs that Hugging Face Optimum gives them.

    export_onnx(model, folder)          # encoder_model.onnx, decoder_model.onnx, decoder_with_past_model.onnx
    quantize(folder, smaller)           # the same with weights of 8 bits
    check(folder)

encoder_model.onnx: input_features [batch, mels, 3000] -> last_hidden_state [batch, 1500, width]
decoder_model.onnx: input_ids [batch, tokens], encoder_hidden_states [batch, positions, width] -> logits
    [batch, tokens, vocabulary] and each layer's keys and values, present.N.{decoder,encoder}.{key,value}
decoder_with_past_model.onnx: input_ids [batch, 1], past_key_values.N.{decoder,encoder}.{key,value} -> logits
    [batch, 1, vocabulary], present.N.decoder.{key,value}, one token longer; those of the encoder stay as they are

Keys and values are [batch, heads, tokens or positions, width / heads]. All is float32 but the tokens (int64).
"""

import json
import logging
import warnings
from fnmatch import fnmatchcase
from pathlib import Path

import onnx
import onnx_ir
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import Tensor, nn
from transformers import WhisperConfig, WhisperForConditionalGeneration

from asr.errors import UserError
from asr.onnx_graphs import Decoder, DecoderWithPast, Encoder
from asr.whisper_shape import WINDOW_FRAMES

# torch translates to it; each later one is converted to from it. onnxruntime runs it since 1.14, of February 2023.
OPSET = 18
IR_VERSION = 8  # the one of that opset: torch writes 10, which onnxruntime reads since 1.18 alone
MOST_BYTES = 2**31 - 2**20  # protobuf's limit for one file, less what is no weight; larger weights go beside it

ENCODER, DECODER, WITH_PAST = "encoder_model.onnx", "decoder_model.onnx", "decoder_with_past_model.onnx"
FILES = (ENCODER, DECODER, WITH_PAST)

# What may have any length, by graph, name and axis, so that one file serves every batch, prompt and transcript. A window
# has 3,000 frames always.
BATCH, TOKENS = "batch_size", "decoder_sequence_length"
PAST, POSITIONS = "past_decoder_sequence_length", "encoder_sequence_length"
DYNAMIC_AXES: dict[str, dict[str, dict[int, str]]] = {
    ENCODER: {"input_features": {0: BATCH}},
    DECODER: {"input_ids": {0: BATCH, 1: TOKENS}, "encoder_hidden_states": {0: BATCH, 1: POSITIONS}},
    WITH_PAST: {
        "input_ids": {0: BATCH},
        "past_key_values.*.decoder.*": {0: BATCH, 2: PAST},
        "past_key_values.*.encoder.*": {0: BATCH, 2: POSITIONS},
    },
}


def cache_names(kind: str, layers: int) -> list[str]:
    """Names of all layers' keys and values, in their order; `kind`: "present" or "past_key_values"."""
    parts = [f"{part}.{what}" for part in ("decoder", "encoder") for what in ("key", "value")]
    return [f"{kind}.{layer}.{part}" for layer in range(layers) for part in parts]


def export_onnx(model: WhisperForConditionalGeneration, folder: Path, most_bytes: int = MOST_BYTES) -> None:
    """Write the three graphs of a Whisper, whose weights are in float32 on the CPU, into `folder`.

    Args:
        most_bytes: weights of more stand in `<file>_data` beside a graph, as Optimum has them.
    """
    assert model.dtype == torch.float32, model.dtype
    config = model.config
    batch = 2  # an example of one row would fix it at one
    tokens = torch.zeros(batch, 3, dtype=torch.long)
    states = torch.zeros(batch, 4, config.d_model)
    # One tensor each: the same one under two names would be one input to torch.
    past = {name: _example_cache(config, batch, name) for name in cache_names("past_key_values", config.decoder_layers)}
    present = cache_names("present", config.decoder_layers)
    graphs: dict[str, tuple[type[nn.Module], dict[str, Tensor], list[str]]] = {
        ENCODER: (
            Encoder,
            {"input_features": torch.zeros(batch, config.num_mel_bins, WINDOW_FRAMES)},
            ["last_hidden_state"],
        ),
        DECODER: (Decoder, {"input_ids": tokens, "encoder_hidden_states": states}, ["logits", *present]),
        WITH_PAST: (
            DecoderWithPast,
            {"input_ids": tokens[:, :1]} | past,
            ["logits", *(name for name in present if "decoder" in name)],
        ),
    }
    for name, (module, example, outputs) in graphs.items():
        graph = _translate(module(model), example, [_axes(name, given) for given in example], outputs)
        _describe(graph, name, config)
        _save(graph, folder / name, most_bytes)


def _example_cache(config: WhisperConfig, batch: int, name: str) -> Tensor:
    heads = config.decoder_attention_heads
    return torch.zeros(batch, heads, 4 if "encoder" in name else 5, config.d_model // heads)


def _axes(graph: str, name: str) -> dict[int, str]:
    """The axes of an input that may have any length."""
    return next(axes for pattern, axes in DYNAMIC_AXES[graph].items() if fnmatchcase(name, pattern))


def _translate(
    module: nn.Module, example: dict[str, Tensor], shapes: list[dict[int, str]], outputs: list[str]
) -> onnx_ir.Model:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns that torchvision is not there
    first, *rest = example.values()
    is_list = len(rest) > 1  # of keys and values
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of what torch means to change in itself
        program = torch.onnx.export(
            module.eval(),
            (first, rest) if is_list else (first, *rest),
            input_names=list(example),
            output_names=outputs,
            opset_version=OPSET,
            dynamic_shapes=(shapes[0], shapes[1:]) if is_list else tuple(shapes),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return program.model


def _describe(graph: onnx_ir.Model, name: str, config: WhisperConfig) -> None:
    """Say what the graph is, and nothing of where it was made: torch notes the path of each line of code."""
    for node in graph.graph.all_nodes():
        node.metadata_props.clear()
    graph.graph.metadata_props.clear()
    graph.ir_version = IR_VERSION
    graph.metadata_props.clear()
    graph.metadata_props.update(
        model_type="whisper",
        opset=str(OPSET),
        dynamic_axes=json.dumps(DYNAMIC_AXES[name]),
        mels=str(config.num_mel_bins),
        vocabulary=str(config.vocab_size),
    )


def _save(graph: onnx_ir.Model, path: Path, most_bytes: int) -> None:
    size = sum(value.const_value.nbytes for value in graph.graph.initializers.values())
    onnx_ir.save(graph, path, external_data=None if size <= most_bytes else path.name + "_data")


def quantize(folder: Path, target: Path) -> None:
    """The graphs of `folder` with matrices and the tokens' embedding in 8 bits; sums, norms and softmax stay float32.

    onnxruntime finds the scale of what is multiplied with them as it runs ("dynamic quantisation"). The weights are
    unsigned: products with signed ones overflow on CPUs without VNNI (onnxruntime's documentation, U8S8).
    """
    for name in FILES:
        nodes = onnx.load(folder / name, load_external_data=False).graph.node
        places = [node.name for node in nodes if node.op_type == "Gather" and "embed_positions" in node.input[0]]
        logging.disable(logging.WARNING)  # it advises to run an optimiser first, which torch's export has been through
        try:
            quantize_dynamic(
                folder / name,
                target / name,
                op_types_to_quantize=["MatMul", "Gather"],
                nodes_to_exclude=places,
                per_channel=True,
                weight_type=QuantType.QUInt8,
            )
        finally:
            logging.disable(logging.NOTSET)


def check(folder: Path) -> None:
    """Let onnx's checker read each graph, weights beside it included.

    Raises:
        UserError: a graph is not valid ONNX.
    """
    for name in FILES:
        try:
            onnx.checker.check_model(folder / name, full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            raise UserError(f"{folder / name}: not valid ONNX; convert the model again: {error}") from error
