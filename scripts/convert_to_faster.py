"""A plain Whisper -> CTranslate2, the form that faster-whisper and RealtimeSTT read, once for each quantisation.

In: `outputs/merge_lora/`, or any folder in base_model's form.
Out: `outputs/convert_to_faster/<quantization>/`: model.bin, config.json, vocabulary.json, tokenizer.json,
preprocessor_config.json, lineage.json, README.md (its card), parity.json. Each is opened by faster-whisper before the
stage ends.

    python scripts/convert_to_faster.py
    python scripts/convert_to_faster.py --model_dir ~/my-whisper --output_dir ~/faster --quantizations '["int8_float16"]'
"""

import json
from functools import partial
from pathlib import Path

from asr.command import run_stage
from asr.environment import workers
from asr.errors import UserError
from asr.params import ConvertToFaster
from asr.paths import output_folder, require_folder
from asr.whisper_shape import HOP_SAMPLES, SAMPLE_RATE

MISREAD = "faster-whisper takes every token above <|30.00|> for a timestamp"


def main(params: ConvertToFaster) -> None:
    model_dir = require_folder(
        params.model_dir, "scripts/merge_lora.py makes it, or convert_to_faster.model_dir names another"
    )

    from asr.export_cards import finish_export
    from asr.exportable import require_own_vocabulary
    from asr.faster_engine import FasterWhisper
    from asr.lineage import sha256
    from asr.parity import BATCH, megabytes, proof_of

    require_own_vocabulary(model_dir, MISREAD)
    inputs = {"model": sha256(model_dir)}
    proof = proof_of(model_dir, params.parity.model_dump() if params.parity else None)
    with output_folder(params.output_dir) as folder:
        exports = {quantization: folder / quantization for quantization in params.quantizations}
        for quantization, export in exports.items():  # all of them, before the proof has the model in memory
            convert(model_dir, export, quantization)
            set_chunk(export, params.chunk_seconds)
        for quantization, export in exports.items():
            open_once(export)
            equal = proof(partial(FasterWhisper, export, BATCH, beam_size=1, threads=workers()), export)
            made_with = {"quantization": quantization, "chunk_seconds": params.chunk_seconds}
            finish_export(export, "ctranslate2", inputs, made_with)
            print(
                f"{params.output_dir / quantization}: {megabytes(export):.1f} MB, opened by faster-whisper; {equal}",
                flush=True,
            )


def convert(model_dir: Path, export: Path, quantization: str) -> None:
    from ctranslate2.converters import TransformersConverter
    from safetensors import SafetensorError

    from asr.english import complete_english
    from asr.model import load_whisper

    class Converter(TransformersConverter):
        def load_model(self, model_class, model_name_or_path, **options):
            """Whole, and with the languages and suppressed tokens that an older folder's configuration does not list."""
            model, tokenizer, _ = load_whisper(Path(model_name_or_path), options.get("dtype") or "auto")
            complete_english(model, tokenizer)
            return model

    # Without preprocessor_config.json faster-whisper computes 80 mel bins, which a model with 128 refuses.
    converter = Converter(str(model_dir), copy_files=["tokenizer.json", "preprocessor_config.json"])
    try:
        converter.convert(str(export), quantization=quantization)
    except (RuntimeError, SafetensorError, ValueError) as error:
        raise UserError(f"{model_dir}: cannot be converted; make or copy the model again: {error}") from error


def set_chunk(export: Path, seconds: int) -> None:
    """Tell faster-whisper how much speech to decode at once.

    BatchedInferencePipeline joins what its voice activity detection finds up to so much, and cuts what is longer than it
    less 0.83 s; `transcribe` moves on in windows of so much. All are padded to 30 s.
    """
    file = export / "preprocessor_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    if config.get("chunk_length") == seconds:
        return
    samples = seconds * SAMPLE_RATE
    config |= {"chunk_length": seconds, "n_samples": samples, "nb_max_frames": samples // HOP_SAMPLES}
    file.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def open_once(export: Path) -> None:
    """Let faster-whisper open the export and transcribe a second of sound, language detection included.

    Types that this CPU cannot compute in, as float16, are computed in the nearest that it can.
    """
    import numpy as np
    from faster_whisper import WhisperModel

    second = 0.1 * np.sin(2 * np.pi * 220 * np.arange(SAMPLE_RATE) / SAMPLE_RATE, dtype=np.float32)  # [samples]
    segments, _ = WhisperModel(str(export), device="cpu").transcribe(
        second, beam_size=1, temperature=0, max_new_tokens=8
    )
    list(segments)  # they are decoded as they are read


if __name__ == "__main__":
    run_stage(ConvertToFaster, main)
