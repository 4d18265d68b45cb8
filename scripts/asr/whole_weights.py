"""All weights of a Whisper, or an error: transformers draws what a file lacks at random, and leaves out what it has too many of.

    model = read_weights(Path("outputs/merge_lora"), "auto")

In: a folder in the form of transformers. Out: the model, with the generation configuration that lies beside it.
"""

from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import WhisperForConditionalGeneration
from transformers.utils import logging

from asr.errors import UserError

AGAIN = "make or copy the model again"
LFS = b"version https://git-lfs"  # of what stands in a clone for a file that was not fetched
SHOWN = 2  # weights in a message


def read_weights(folder: Path, dtype: torch.dtype | str, **held_in) -> WhisperForConditionalGeneration:
    """The arguments are those of `model.load_whisper`.

    Raises:
        UserError: a file cannot be read, or config.json is of another model than the weights: some are missing, too many, or
            of another shape.
    """
    if pointer := next((file for file in sorted(folder.glob("*.safetensors")) if _starts(file) == LFS), None):
        raise UserError(f"{pointer}: stands for a file that Git LFS did not fetch; run git lfs pull in {folder}")
    # What it says of missing weights is an error here, in one message. At a higher level it would say more, of sharding.
    log = logging.get_logger("transformers.modeling_utils")
    log.addFilter(_say_nothing)
    try:
        model, found = WhisperForConditionalGeneration.from_pretrained(
            folder, dtype=dtype, output_loading_info=True, ignore_mismatched_sizes=True, **held_in
        )
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise UserError(f"{folder}: the weights cannot be read, {AGAIN}: {error}") from error
    finally:
        log.removeFilter(_say_nothing)
    # Heads beside the model, which some trainings leave, are none of its weights.
    too_many = [name for name in found["unexpected_keys"] if name.startswith("model.")]
    other = [f"{name} {list(has)}, not {list(wants)}" for name, has, wants in found["mismatched_keys"]]
    for what, names in (("lack", found["missing_keys"]), ("have too many", too_many), ("are of another shape", other)):
        if names:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            raise UserError(
                f"{folder}: the weights are not those of its config.json, they {what}: {', '.join(sorted(names)[:SHOWN])}{more}; {AGAIN}"
            )
    return model


def _say_nothing(record) -> bool:
    return False


def _starts(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(len(LFS))
