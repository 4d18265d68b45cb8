"""The recipe's finished model on the Hugging Face Hub, with its card: `make push-to-hub`.

In: the model that convert_to_faster exports, evaluation's metrics, prepare_audio's counts; HUB_MODEL_ID (owner/name) and
HF_TOKEN of `.env`. Out: a repository on the Hub, private unless HUB_PUBLIC=1; without HUB_MODEL_ID the card alone, printed.

    python scripts/push_to_hub.py
"""

import json
import os
from pathlib import Path

from asr.command import PARAMS_FILE, run_command
from asr.errors import UserError
from asr.params_file import Params


def main(params: Params) -> None:
    name = os.environ.get("HUB_MODEL_ID", "")
    card, model_dir = card_of(params, name or "owner/name"), params.convert_to_faster.model_dir
    if not name:
        print(card)
        print("This is the card. To push the model with it: HUB_MODEL_ID=owner/name and HF_TOKEN in .env")
        return
    public = os.environ.get("HUB_PUBLIC") == "1"
    print(f"{push(name, model_dir, card, public)}: {'as public as it was made' if public else 'private'}")


def card_of(params: Params, name: str) -> str:
    """The card, from what the stages have left.

    Raises:
        UserError: a stage has not run, or the published model was not judged.
    """
    from asr.lineage import commit
    from asr.model_card import base_name, model_card

    missing = [
        part for part in ("base_model", "prepare_audio", "convert_to_faster", "evaluation") if not getattr(params, part)
    ]
    if missing:
        raise UserError(f"{PARAMS_FILE.absolute()}: no {', '.join(missing)}: a recipe without is not published")
    metrics = _read(params.evaluation.output_dir / "metrics.json", "evaluation")
    names = {folder: model for model, folder in params.evaluation.models.items()}
    published = params.convert_to_faster.model_dir
    if names.get(published) not in metrics:
        raise UserError(
            f"{published}: not among evaluation.models; add it and run make evaluate, for the card's figures"
        )
    sources = params.prepare_audio.sources
    return model_card(
        name,
        base=base_name(params.base_model.model_dump()),
        before=names.get(params.base_model.output_dir, ""),
        after=names[published],
        metrics=metrics,
        data=_read(params.prepare_audio.output_dir / "stats.json", "prepare_audio"),
        licences={name: source.licence for name, source in sources.items()},
        languages=sorted({source.language for source in sources.values()}),
        params=PARAMS_FILE.read_text(encoding="utf-8"),
        commit=commit(),
    )


def push(name: str, model_dir: Path, card: str, public: bool) -> str:
    """Create the repository if it is not there, put the model and its card into it, and return its address.

    Raises:
        UserError: the Hub cannot be reached, or does not let us.
    """
    from huggingface_hub import HfApi, errors

    if not (model_dir / "config.json").is_file():
        raise UserError(f"{model_dir}: no model; run make export-ct2 first")
    api = HfApi()
    try:
        repository = api.create_repo(name, private=not public, exist_ok=True)
        if not public and not api.model_info(repository.repo_id).private:  # it was there before
            raise UserError(
                f"HUB_MODEL_ID: {name} is public already; set HUB_PUBLIC=1 if that is meant, or give another name"
            )
        api.upload_folder(repo_id=repository.repo_id, folder_path=model_dir, commit_message="Model")
        api.upload_file(
            path_or_fileobj=card.encode(), path_in_repo="README.md", repo_id=repository.repo_id, commit_message="Card"
        )
    except errors.HFValidationError as error:
        raise UserError(f"HUB_MODEL_ID: {error}") from error
    except (errors.HfHubHTTPError, errors.HTTPError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        remedy = "check HF_TOKEN (it must be allowed to write), HUB_MODEL_ID and the network, and run it again"
        raise UserError(f"HUB_MODEL_ID: {name} cannot be pushed to the Hub: {reason}; {remedy}") from error
    return str(repository)


def _read(file: Path, stage: str) -> dict:
    if not file.is_file():
        raise UserError(f"{file}: no such file; run the stage {stage} first")
    return json.loads(file.read_text(encoding="utf-8"))


if __name__ == "__main__":
    run_command(main)
