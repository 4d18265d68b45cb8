"""The recipe's finished model on the Hugging Face Hub, with its card: `make push-to-hub`.

In: the model that convert_to_faster exports, what its export's lineage says of it, evaluation's metrics, prepare_audio's counts;
HUB_MODEL_ID (owner/name) and HF_TOKEN of `.env`. Out: a repository on the Hub with the model, README.md and lineage.json, private
unless HUB_PUBLIC=1; without HUB_MODEL_ID the card alone, printed.

    python scripts/push_to_hub.py
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from asr.command import PARAMS_FILE, run_command
from asr.errors import UserError
from asr.params_file import Params

STAGES = ("base_model", "prepare_audio", "convert_to_faster", "evaluation")
LINEAGE = ("data", "git", "inputs", "stages", "versions")  # of an export's: what is its model's too


def main(params: Params) -> None:
    missing = [stage for stage in STAGES if not getattr(params, stage)]
    if missing:
        raise UserError(f"{PARAMS_FILE.absolute()}: no {', '.join(missing)}: a recipe without is not published")
    name, model_dir = os.environ.get("HUB_MODEL_ID", ""), params.convert_to_faster.model_dir
    if name:
        require_hub(name)
    if not (model_dir / "config.json").is_file():
        raise UserError(f"{model_dir}: no model; run make export-ct2 and make evaluate first")
    lineage = lineage_of(params)
    card = card_of(params, name, lineage)
    gates = params.evaluation.output_dir / "gates.json"
    if missed := [row for row in _read(gates, "evaluation") if not row["passed"]]:
        print(f"{gates}: {len(missed)} gates missed, {missed[0]['gate']} among them", file=sys.stderr, flush=True)
    if not name:
        print(card)
        print("This is the card. To push the model with it: HUB_MODEL_ID=owner/name and HF_TOKEN in .env")
        return
    public = os.environ.get("HUB_PUBLIC") == "1"
    files = {"lineage.json": json.dumps(lineage, ensure_ascii=False, indent=1) + "\n", "README.md": card}
    print(f"{push(name, model_dir, files, public)}: {'as public as it was made' if public else 'private'}")


def require_hub(name: str) -> None:
    """Raises `UserError` if `name` is not owner/name, or there is no token to write with."""
    from huggingface_hub import errors, get_token
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except errors.HFValidationError as error:
        raise UserError(f"HUB_MODEL_ID: {error}; give owner/name") from error
    if "/" not in name:
        raise UserError(f"HUB_MODEL_ID: {name} has no owner; give owner/name, yours or your organisation's")
    if get_token() is None:
        raise UserError(
            "HF_TOKEN: not set; put one that may write, of https://huggingface.co/settings/tokens, into .env"
        )


def lineage_of(params: Params) -> dict:
    """What is known of the published model: hashes, parameters, commit and versions of the stages that made it.

    It is that of an export which evaluation has judged: metrics.json alone, which git keeps, may be another machine's.

    Raises:
        UserError: evaluation has not judged it, or another one since.
    """
    from asr.lineage import sha256

    model_dir, cards = params.convert_to_faster.model_dir, params.evaluation.output_dir / "cards/convert_to_faster"
    digest = sha256(model_dir)
    for file in sorted(cards.glob("*/lineage.json")):
        lineage = json.loads(file.read_text(encoding="utf-8"))
        if lineage.get("inputs", {}).get("model", {}).get("sha256") == digest:
            return {name: lineage[name] for name in LINEAGE if name in lineage}
    raise UserError(
        f"{model_dir}: evaluation has judged no export of this very model; name convert_to_faster in evaluation.exports, and run "
        "make evaluate"
    )


def card_of(params: Params, name: str, lineage: Mapping) -> str:
    """The card, from what the stages have left.

    Args:
        name: owner/name; "" where there is none yet.

    Raises:
        UserError: a stage has not run, or the published model was not judged.
    """
    from asr.export_cards import languages_of, trained_on
    from asr.model_card import base_name, model_card

    metrics = _read(params.evaluation.output_dir / "metrics.json", "evaluation")
    counts = _read(params.prepare_audio.output_dir / "stats.json", "prepare_audio")
    names = {folder: model for model, folder in params.evaluation.models.items()}
    published = params.convert_to_faster.model_dir
    if names.get(published) not in metrics:
        raise UserError(
            f"{published}: not among evaluation.models; add it and run make evaluate, for the card's figures"
        )
    # As the stages have run, which the file may no longer say.
    stages = lineage.get("stages") or params.model_dump(mode="json", exclude_none=True)
    sources = trained_on(stages)
    languages = languages_of(sources)
    return model_card(
        name or "-".join(["owner/whisper", *languages[:1]]),
        base=base_name(stages["base_model"]),
        before=names.get(params.base_model.output_dir, ""),
        after=names[published],
        metrics=metrics,
        data={source: of for source, of in counts.items() if source in sources},
        licences={name: source.get("licence", "") for name, source in sources.items()},
        languages=languages,
        git=lineage.get("git"),
    )


def push(name: str, model_dir: Path, files: Mapping[str, str], public: bool) -> str:
    """Create the repository if it is not there, put the model and `files` into it, and return its address.

    Args:
        files: texts by name, which come last.

    Raises:
        UserError: the Hub cannot be reached, or does not let us.
    """
    from huggingface_hub import HfApi, errors

    api = HfApi()
    try:
        repository = api.create_repo(name, private=not public, exist_ok=True)
        if not public and not api.model_info(repository.repo_id).private:  # it was there before
            raise UserError(
                f"HUB_MODEL_ID: {name} is public already; set HUB_PUBLIC=1 if that is meant, or give another name"
            )
        api.upload_folder(
            repo_id=repository.repo_id, folder_path=model_dir, ignore_patterns=list(files), commit_message="Model"
        )
        for file, text in files.items():
            api.upload_file(
                path_or_fileobj=text.encode(), path_in_repo=file, repo_id=repository.repo_id, commit_message=file
            )
    except (errors.HfHubHTTPError, errors.HTTPError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        remedy = "check HF_TOKEN (it must be allowed to write), HUB_MODEL_ID and the network, and run it again"
        raise UserError(f"HUB_MODEL_ID: {name} cannot be pushed to the Hub: {reason}; {remedy}") from error
    return str(repository)


def _read(file: Path, stage: str):
    if not file.is_file():
        raise UserError(f"{file}: no such file; run the stage {stage} first")
    return json.loads(file.read_text(encoding="utf-8"))


if __name__ == "__main__":
    run_command(main)
