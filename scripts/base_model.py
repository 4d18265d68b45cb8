"""The model that training starts from, as one folder: from the Hub at a pinned revision, from a folder, or new.

In: a Whisper on the Hugging Face Hub, one saved by transformers, or the sizes of a new one.
Out: `outputs/base_model/`: weights in the dtype they came in, configuration, tokenizer, preprocessor_config.json, and
the files that older tools want.

    python scripts/base_model.py
    python scripts/base_model.py --source folder --folder ~/whisper-tiny
"""

from asr.command import run_stage
from asr.hub import download
from asr.params import BaseModel
from asr.paths import output_folder, require_folder


def main(params: BaseModel) -> None:
    if params.source == "hub":
        source = download(params.hub.id, params.hub.revision)
    elif params.source == "folder":
        remedy = "base_model.folder must name a Whisper saved by transformers"
        source = require_folder(params.folder.expanduser(), remedy)

    from transformers import WhisperFeatureExtractor

    from asr.model import load_whisper, save_whisper
    from asr.new_model import new_whisper
    from asr.vocabulary import whisper_tokenizer

    if params.source == "new":
        model = new_whisper(**params.new.model_dump())
        tokenizer = whisper_tokenizer(params.new.mels)
        feature_extractor = WhisperFeatureExtractor(feature_size=params.new.mels)
    else:
        model, tokenizer, feature_extractor = load_whisper(source)

    with output_folder(params.output_dir) as folder:
        save_whisper(folder, model, tokenizer, feature_extractor)
    size, dtype = model.num_parameters() / 1e6, str(model.dtype).removeprefix("torch.")
    print(f"{params.output_dir}: {size:.1f} million parameters, {dtype}, {len(tokenizer)} tokens")


if __name__ == "__main__":
    run_stage(BaseModel, main)
