"""What a training step of Whisper takes, reckoned from its shape: floating-point operations, and a GPU's memory.

    flops(SETTINGS["turbo"], frames=3000, decoded=200, projected=150)       # of one window
    memory(SETTINGS["turbo"], "full", batch=8, tokens=200)                  # bytes by what takes them
    largest_batch(SETTINGS["turbo"], "lora", tokens=200, limit=16e9)

Operations are those of the matrix products, two for each weight and position, attention as if it were not causal; what
checkpointing computes again does not count, so that a utilisation is the model's (arXiv 2204.02311, appendix B).
`tests/test_benchmarks.py` compares them with what PyTorch counts.

Memory is that of bfloat16 autocast over float32 weights on one device, everything at once that is there at some time.
"""

from typing import Literal

from synthetic import Setting

from asr.whisper_shape import MAX_TOKENS, VOCABULARY_SIZES, WINDOW_FRAMES

Training = Literal["full", "lora"]
RANK = 32  # of the adapter
ADAPTED = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]  # all matrices of every attention and MLP
LAYER_BYTES = 42  # a position and unit of width that an encoder layer keeps for its backward pass, as autograd saves it
CUDA = 1e9  # CUDA's context, cuBLAS's and cuDNN's workspaces, fragments


def flops(shape: Setting, frames: int, decoded: int, projected: int, training: Training = "full") -> float:
    """Of forward and backward of one window.

    Args:
        frames: that the encoder hears.
        decoded: positions of the decoder, padding among them.
        projected: positions whose logits are computed.
    """
    width, positions = shape.width, frames // 2
    # Of a product with weights: forward, the input's gradient, the weights' gradient unless they are frozen.
    weights = 3 if training == "full" else 2
    first = 2 * 3 * shape.mels * width * frames  # convolution
    second = 2 * 3 * width * width * positions
    # The sound needs no gradient, and nothing does that comes before the first adapter.
    total = 2 * first + 3 * second if training == "full" else first + second
    matrices = 12 * width**2  # of a layer: four of the attention, two of the MLP that are four times as wide
    total += shape.encoder_layers * (weights * 2 * matrices * positions + 3 * 4 * positions**2 * width)
    cross = 2 * 2 * width**2 * (decoded + positions)  # queries and outputs; keys and values
    a_layer = weights * (2 * matrices * decoded + cross) + 3 * 4 * (decoded**2 + decoded * positions) * width
    total += shape.decoder_layers * a_layer
    total += weights * 2 * projected * width * VOCABULARY_SIZES[shape.mels]
    if training == "lora":
        a_square, an_mlp = 2 * 2 * RANK * width, 2 * 2 * RANK * 5 * width  # of a position: down to the rank, and up
        adapters = shape.encoder_layers * positions * (4 * a_square + an_mlp)
        adapters += shape.decoder_layers * (decoded * (6 * a_square + an_mlp) + positions * 2 * a_square)
        total += 3 * adapters
        # Queries, keys and values of either stack's first layer hear what needs no gradient.
        total -= 3 * (positions + decoded) * (2 * width**2 + 2 * RANK * width)
    return float(total)


def parameters(shape: Setting, training: Training = "full") -> int:
    """All of the model's, or the adapter's."""
    width = shape.width
    if training == "lora":
        attention, mlp = 4 * RANK * 2 * width, 2 * RANK * 5 * width
        return shape.encoder_layers * (attention + mlp) + shape.decoder_layers * (2 * attention + mlp)
    norm, attention, mlp = 2 * width, 4 * width**2 + 3 * width, 8 * width**2 + 5 * width  # keys have no bias
    encoder = shape.encoder_layers * (attention + mlp + 2 * norm) + norm + WINDOW_FRAMES // 2 * width
    encoder += 3 * shape.mels * width + 3 * width**2 + 2 * width
    decoder = shape.decoder_layers * (2 * attention + mlp + 3 * norm) + norm + MAX_TOKENS * width
    return encoder + decoder + VOCABULARY_SIZES[shape.mels] * width


def memory(
    shape: Setting, training: Training, batch: int, tokens: int, checkpointing: bool = True, devices: int = 1
) -> dict[str, float]:
    """Bytes by what takes them; full training by Adafactor, an adapter by AdamW.

    Args:
        batch: windows of 30 s on a device at once.
        tokens: of a window's labels.
        devices: more than one hold their gradients twice, once to be summed.
    """
    everything, trained = parameters(shape), parameters(shape, training)
    embedding = VOCABULARY_SIZES[shape.mels] * shape.width
    heard = batch * WINDOW_FRAMES // 2 * shape.width
    written = batch * tokens * shape.width
    kept = 4 if checkpointing else LAYER_BYTES  # a layer's input in float32, or all that it needs
    return {
        "weights": 4 * everything,
        "half-precision copies of the weights": 2 * everything,
        "gradients": 4 * trained * (2 if devices > 1 else 1),
        # Adafactor keeps rows and columns, and needs room for what it does to the largest matrix.
        "optimiser": 3 * 4 * embedding if training == "full" else 8 * trained,
        # a decoder's layer has another attention
        "activations": kept * (shape.encoder_layers * heard + shape.decoder_layers * written * 4 / 3),
        # Recomputed once more, and its gradients beside it.
        "the layer that is worked on": 2 * LAYER_BYTES * heard,
        # In half precision, in float32, their softmax, their gradient.
        "logits": batch * tokens * VOCABULARY_SIZES[shape.mels] * (2 + 4 + 4 + 4),
        "CUDA": CUDA,
    }


def largest_batch(shape: Setting, training: Training, tokens: int, limit: float, devices: int = 1) -> int:
    """The most windows that fit into so many bytes, with checkpointing; 0 if none does."""
    batch = 0
    while sum(memory(shape, training, batch + 1, tokens, devices=devices).values()) <= limit:
        batch += 1
    return batch
