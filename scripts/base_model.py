"""The model that training starts from, as one folder: from the Hub at a pinned revision, from a folder, or new.

In: a Whisper on the Hugging Face Hub, one saved by transformers, or the sizes of a new one.
Out: `outputs/base_model/`: weights in the dtype they came in, configuration, tokenizer, preprocessor_config.json, and
the files that older tools want.

    python scripts/base_model.py
    python scripts/base_model.py --source folder --folder ~/whisper-tiny
"""

import errno
from contextlib import suppress
from pathlib import Path

from asr.command import run_stage
from asr.errors import UserError
from asr.params import BaseModel
from asr.paths import output_folder, require_folder

WEIGHTS = ["model.safetensors", "model.safetensors.index.json", "model-*.safetensors"]  # not large-v3's second copy


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


def download(model: str, revision: str) -> Path:
    """The Hub's snapshot of a model in its cache; what an interrupted download left there is completed.

    A snapshot that is whole needs no Hub: the revision is a commit, which never changes. The token is HF_TOKEN's.
    """
    from huggingface_hub import HfApi, errors, snapshot_download

    wanted = {"repo_id": model, "revision": revision, "allow_patterns": [*WEIGHTS, "*.json", "*.txt"]}
    try:
        with suppress(errors.LocalEntryNotFoundError, errors.CachedRepoTreeNotFoundError):
            return Path(snapshot_download(**wanted, local_files_only=True))
        # Asked first: it fails at once, where the download would try a dead network for minutes.
        files = [file.rfilename for file in HfApi().model_info(model, revision=revision, timeout=10).siblings]
        if not {"model.safetensors", "model.safetensors.index.json"} & set(files):
            raise UserError(
                f"base_model.hub.id: {model} at {revision} has no weights as safetensors; convert it with transformers, "
                "then give its folder as base_model.folder"
            )
        return Path(snapshot_download(**wanted))
    except errors.GatedRepoError as error:
        remedy = "accept its terms on its page, then put your token into .env as HF_TOKEN"
        raise UserError(f"base_model.hub.id: {model} is gated: {remedy}") from error
    except errors.RepositoryNotFoundError as error:
        remedy = "correct the id, or put a token that may read it into .env as HF_TOKEN"
        raise UserError(f"base_model.hub.id: {model}: the Hub shows no such model; {remedy}") from error
    except errors.RevisionNotFoundError as error:
        remedy = "take a commit from its history on the Hub"
        raise UserError(f"base_model.hub.revision: {model} has no commit {revision}; {remedy}") from error
    except errors.HFValidationError as error:
        raise UserError(f"base_model.hub.id: {error}") from error
    except (errors.HTTPError, OSError, RuntimeError) as error:  # hf-xet, which fetches the weights, raises the last
        if getattr(error, "errno", None) == errno.ENOSPC:
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        remedy = "try again (it resumes), or copy the model here and give base_model.source: folder"
        raise UserError(f"base_model.hub.id: {model} cannot be fetched from the Hub: {reason}; {remedy}") from error


if __name__ == "__main__":
    run_stage(BaseModel, main)
