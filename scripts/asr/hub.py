"""Models of the Hugging Face Hub, as folders of its cache.

folder = download("openai/whisper-tiny", "169d4a4341b33bc18d8881c4b69c2e104e1cc0af")
"""

import errno
from contextlib import suppress
from pathlib import Path

from asr.errors import UserError

WEIGHTS = ["model.safetensors", "model.safetensors.index.json", "model-*.safetensors"]  # not large-v3's second copy


def download(
    model: str, revision: str, names: tuple[str, str] = ("base_model.hub.id", "base_model.hub.revision")
) -> Path:
    """The Hub's snapshot of a model in its cache; what an interrupted download left there is completed.

    A snapshot that is whole needs no Hub: a revision that is a commit never changes. The token is HF_TOKEN's.

    Args:
        names: the parameters that say model and revision, for messages.

    Raises:
        UserError: the Hub does not have it, does not show it, or cannot be reached.
    """
    from huggingface_hub import HfApi, errors, snapshot_download

    name, name_of_revision = names
    wanted = {"repo_id": model, "revision": revision, "allow_patterns": [*WEIGHTS, "*.json", "*.txt"]}
    try:
        with suppress(errors.LocalEntryNotFoundError, errors.CachedRepoTreeNotFoundError):
            return Path(snapshot_download(**wanted, local_files_only=True))
        # Asked first: it fails at once, where the download would try a dead network for minutes.
        files = [file.rfilename for file in HfApi().model_info(model, revision=revision, timeout=10).siblings]
        if not {"model.safetensors", "model.safetensors.index.json"} & set(files):
            raise UserError(
                f"{name}: {model} at {revision} has no weights as safetensors; convert it with transformers, "
                "then give its folder as base_model.folder"
            )
        return Path(snapshot_download(**wanted))
    except errors.GatedRepoError as error:
        remedy = "accept its terms on its page, then put your token into .env as HF_TOKEN"
        raise UserError(f"{name}: {model} is gated: {remedy}") from error
    except errors.RepositoryNotFoundError as error:
        remedy = "correct the id, or put a token that may read it into .env as HF_TOKEN"
        raise UserError(f"{name}: {model}: the Hub shows no such model; {remedy}") from error
    except errors.RevisionNotFoundError as error:
        remedy = "take a commit from its history on the Hub"
        raise UserError(f"{name_of_revision}: {model} has no commit {revision}; {remedy}") from error
    except errors.HFValidationError as error:
        raise UserError(f"{name}: {error}") from error
    except (errors.HTTPError, OSError, RuntimeError) as error:  # hf-xet, which fetches the weights, raises the last
        if getattr(error, "errno", None) == errno.ENOSPC:
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        remedy = "try again (it resumes), or copy the model here and give base_model.source: folder"
        raise UserError(f"{name}: {model} cannot be fetched from the Hub: {reason}; {remedy}") from error
