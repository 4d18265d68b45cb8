"""A plain Whisper -> ONNX, the form that onnxruntime and Hugging Face Optimum read, once for each dtype.

In: `outputs/merge_lora/`, or any folder in base_model's form.
Out: `outputs/convert_to_onnx/<dtype>/`: encoder_model.onnx, decoder_model.onnx, decoder_with_past_model.onnx (and
`<file>_data` for weights over 2 GB), config.json, generation_config.json, preprocessor_config.json, tokenizer.json and
the tokenizer's other files, lineage.json, README.md (its card), parity.json. Each is checked by onnx and run by
onnxruntime before the stage ends.

    python scripts/convert_to_onnx.py
    python scripts/convert_to_onnx.py --model_dir ~/my-whisper --output_dir ~/my-onnx --dtypes '["float32"]'
"""

import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from asr.command import run_stage
from asr.errors import UserError
from asr.params import ConvertToOnnx
from asr.paths import output_folder, require_folder
from asr.whisper_shape import SAMPLE_RATE

if TYPE_CHECKING:
    from transformers import WhisperForConditionalGeneration, WhisperTokenizer


def main(params: ConvertToOnnx) -> None:
    model_dir = require_folder(
        params.model_dir, "scripts/merge_lora.py makes it, or convert_to_onnx.model_dir names another"
    )

    import torch

    from asr.domain_tokens import new_tokens_of
    from asr.english import complete_english
    from asr.export_cards import finish_export
    from asr.lineage import sha256
    from asr.model import load_whisper, require_one_vocabulary, save_without_weights
    from asr.onnx_engine import Onnx
    from asr.onnx_export import check, export_onnx, quantize
    from asr.parity import BATCH, megabytes, proof_of

    model, tokenizer, feature_extractor = load_whisper(model_dir, torch.float32)
    require_one_vocabulary(model_dir, model, tokenizer)
    complete_english(model, tokenizer)
    require_silent_new_tokens(model_dir, model, tokenizer)
    if not all(weight.isfinite().all() for weight in model.parameters()):
        raise UserError(f"{model_dir}: weights that are not finite; take an earlier checkpoint, or train it again")
    inputs = {"model": sha256(model_dir)}
    proof = proof_of(model_dir, params.parity.model_dump() if params.parity else None)
    with output_folder(params.output_dir) as folder:
        (exact := folder / "float32").mkdir()
        export_onnx(model, exact)
        for dtype in dict.fromkeys(params.dtypes):
            export = folder / dtype
            if dtype == "int8":
                export.mkdir()
                quantize(exact, export)
            check(export)
            save_without_weights(export, model, tokenizer, feature_extractor)
            run_once(export)
            equal = proof(partial(Onnx, export, BATCH), export)
            finish_export(export, "onnx", inputs, {"dtype": dtype}, new_tokens_of(tokenizer))
            print(f"{params.output_dir / dtype}: {megabytes(export):.1f} MB, run by onnxruntime; {equal}", flush=True)
        if "float32" not in params.dtypes:
            shutil.rmtree(exact)


def require_silent_new_tokens(
    model_dir: Path, model: "WhisperForConditionalGeneration", tokenizer: "WhisperTokenizer"
) -> None:
    """Allow tokens above Whisper's own in a prompt alone: whoever reads a transcript takes their ids for times."""
    from asr.domain_tokens import new_tokens_of

    never = model.generation_config.suppress_tokens or ()
    said = [token for token in new_tokens_of(tokenizer) if tokenizer.convert_tokens_to_ids(token) not in never]
    if said:
        raise UserError(
            f"{model_dir}: the model has new tokens that it may write, {', '.join(said)}, and every engine takes tokens above "
            "<|30.00|> for timestamps; train without them, or list them in suppress_tokens of generation_config.json"
        )


def run_once(export: Path) -> None:
    """Let onnxruntime open the export and write eight tokens about a second of sound, which takes all three graphs."""
    import numpy as np

    from asr.onnx_engine import Onnx

    second = 0.1 * np.sin(2 * np.pi * 220 * np.arange(SAMPLE_RATE) / SAMPLE_RATE, dtype=np.float32)  # [samples]
    engine = Onnx(export, batch=1)
    end = engine.token("<|endoftext|>")

    def go_on(written: list[int], logits: np.ndarray) -> None:
        logits[end] = -np.inf

    assert len(engine.tokens(second, [engine.token("<|startoftranscript|>")], 8, go_on)) == 8


if __name__ == "__main__":
    run_stage(ConvertToOnnx, main)
