"""A plain Whisper -> ggml, the form that whisper.cpp and what is built on it read, once for each type of weights.

In: `outputs/merge_lora/`, or any folder in base_model's form.
Out: `outputs/convert_to_ggml/<type>/`: ggml-model.bin; generation_config.json, the tokens that the model never writes, of
which a ggml file cannot tell; lineage.json, README.md (its card), parity.json. Each is opened by whisper.cpp before the
stage ends.

    python scripts/convert_to_ggml.py
    python scripts/convert_to_ggml.py --model_dir ~/my-whisper --output_dir ~/ggml --types '["q5_1"]'
"""

import json
from functools import partial

from asr.command import run_stage
from asr.environment import workers
from asr.params import ConvertToGgml
from asr.paths import output_folder, require_folder


def main(params: ConvertToGgml) -> None:
    model_dir = require_folder(
        params.model_dir, "scripts/merge_lora.py makes it, or convert_to_ggml.model_dir names another"
    )

    from asr.export_cards import finish_export
    from asr.exportable import suppressed_tokens
    from asr.ggml import require_whisper_cpp_shape, write_ggml
    from asr.lineage import sha256
    from asr.parity import megabytes, proof_of
    from asr.whisper_cpp import GENERATION_CONFIG, WhisperCpp, open_in_child

    types = list(dict.fromkeys(params.types))
    require_whisper_cpp_shape(model_dir, types)
    never, never_first = suppressed_tokens(model_dir)
    suppressed = {"suppress_tokens": never, "begin_suppress_tokens": never_first}
    inputs = {"model": sha256(model_dir)}
    proof = proof_of(model_dir, params.parity.model_dump() if params.parity else None)
    with output_folder(params.output_dir) as folder:
        files = {name: folder / name / "ggml-model.bin" for name in types}
        for name, file in files.items():  # all of them, before the proof has the model in memory
            file.parent.mkdir()
            write_ggml(model_dir, file, name)
            file.with_name(GENERATION_CONFIG).write_text(json.dumps(suppressed) + "\n", encoding="utf-8")
            open_in_child(file, workers())
        for name, file in files.items():
            export = file.parent
            if name == "f32":
                equal = "not compared: whisper.cpp cannot compute with float32, f16 is the largest that it runs"
            else:
                equal = proof(partial(WhisperCpp, file, workers()), export)
            finish_export(export, "ggml", inputs, {"type": name})
            print(f"{params.output_dir / name}: {megabytes(export):.1f} MB, opened by whisper.cpp; {equal}", flush=True)


if __name__ == "__main__":
    run_stage(ConvertToGgml, main)
