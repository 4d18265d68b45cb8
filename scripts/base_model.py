"""The model that training starts from, as one folder: from the Hub at a pinned revision, from a folder, or new.

In: a Whisper on the Hugging Face Hub, one saved by transformers, or the sizes of a new one.
Out: `outputs/base_model/`: weights in the dtype they came in, configuration, tokenizer, preprocessor_config.json, and
the files that older tools want.

    python scripts/base_model.py
    python scripts/base_model.py --source folder --folder ~/whisper-tiny
"""

from pathlib import Path

from asr.command import run_stage
from asr.params import BaseModel


def main(params: BaseModel) -> None:
    from transformers import WhisperFeatureExtractor

    from asr.model import load_whisper, new_whisper, save_whisper
    from asr.paths import output_folder, require_folder
    from asr.vocabulary import whisper_tokenizer

    if params.source == "new":
        model = new_whisper(**params.new.model_dump())
        tokenizer = whisper_tokenizer(params.new.mels)
        feature_extractor = WhisperFeatureExtractor(feature_size=params.new.mels)
    else:
        if params.source == "hub":
            from asr.hub import download_model

            folder = download_model(params.hub.id, params.hub.revision)
        else:
            folder = require_folder(Path(params.folder).expanduser(), "base_model.folder names a Whisper saved by transformers")
        model, tokenizer, feature_extractor = load_whisper(folder)

    with output_folder(params.output_dir) as folder:
        save_whisper(folder, model, tokenizer, feature_extractor)
    millions = model.num_parameters() / 1e6
    print(f"{params.output_dir}: {millions:.1f} million parameters, {str(model.dtype).removeprefix('torch.')}, {len(tokenizer)} tokens")


if __name__ == "__main__":
    run_stage(BaseModel, main)
