"""Machine facts: what `.env` and the environment say, never `params.yaml`.

`.env` (see `.env.template`) is read once, before any library that looks at the environment; a variable that is
already set wins over the file.

    python -m asr.environment recipe_dir german      # what Make asks: a path, or nothing where none is set
"""

import os
import sys
from pathlib import Path

from dotenv import load_dotenv

from asr.errors import UserError

REPOSITORY = Path(__file__).resolve().parents[2]
VARIABLES = (
    "BASE_DIR",
    "CACHE_DIR",
    "MODEL_DIR",
    "LOG_DIR",
    "CONFIG_DIR",
    "HF_TOKEN",
    "WANDB_API_KEY",
    "HUB_MODEL_ID",
    "HUB_PUBLIC",
    "TENSORBOARD_PORT",
    "WORKERS",
    "DIST_TIMEOUT",
)
DEFAULT_DIST_TIMEOUT = 600  # seconds


def load_environment() -> None:
    """Read `.env`, point the Hub's caches below CACHE_DIR, and switch telemetry off unless it is asked for."""
    load_dotenv(REPOSITORY / ".env")
    for name in VARIABLES:
        if os.environ.get(name) == "":  # `HF_TOKEN=` in .env means "none", not an empty token
            del os.environ[name]
    if cache := cache_dir():
        os.environ.setdefault("HF_HOME", str(cache / "huggingface"))
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("DVC_NO_ANALYTICS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # forked loader workers would warn at every batch


def base_dir() -> Path:
    """The folder that relative machine paths start from: BASE_DIR, else the repository."""
    return REPOSITORY / Path(os.environ.get("BASE_DIR", "")).expanduser()


def cache_dir() -> Path | None:
    """Where downloads (`huggingface/`) and DVC's cache (`dvc/`) go; None: where these tools keep them by default."""
    return _below_base("CACHE_DIR")


def model_dir() -> Path | None:
    """Where `make export-ct2` copies finished models to; None: they stay in `outputs/`."""
    return _below_base("MODEL_DIR")


def log_dir() -> Path:
    """Where checkpoints and TensorBoard's events go: LOG_DIR, else `runs/` beside the recipe's `params.yaml`.

    Under LOG_DIR each recipe has a folder of its own name, so that two recipes never mix.
    """
    logs = _below_base("LOG_DIR")
    if logs is None:
        return Path("runs")
    here = Path.cwd()
    return logs / ("sample" if here == REPOSITORY else here.name)


def recipe_dir(name: str) -> Path:
    """The folder of a recipe's `dvc.yaml` and `params.yaml`: the repository for `sample`, else CONFIG_DIR/<name>.

    CONFIG_DIR (default `recipes`) is relative to the repository and must lie inside it, since DVC sees nothing else.

    Raises:
        UserError: there is no such recipe; the message lists those that exist.
    """
    recipes = (REPOSITORY / os.environ.get("CONFIG_DIR", "recipes")).resolve()
    if not recipes.is_relative_to(REPOSITORY):
        raise UserError(f"CONFIG_DIR: {recipes} is outside the repository, {REPOSITORY}, where DVC cannot run recipes")
    folders = {"sample": REPOSITORY} | {path.parent.name: path.parent for path in sorted(recipes.glob("*/dvc.yaml"))}
    if name not in folders:
        raise UserError(f"RECIPE={name}: no such recipe in {recipes}; there are: {', '.join(folders)}")
    return folders[name]


def workers() -> int:
    """Processes for work that is one task a core: WORKERS, else the number of usable cores.

    Raises:
        UserError: WORKERS is not a positive whole number.
    """
    text = os.environ.get("WORKERS") or str(len(os.sched_getaffinity(0)))
    if not text.isdecimal() or int(text) == 0:
        raise UserError(f"WORKERS: {text} is not a number of processes; write a whole one from 1 on into .env, e.g. 4")
    return int(text)


def dist_timeout() -> float:
    """Seconds after which a training of several processes that does not get on is ended: DIST_TIMEOUT, else 600.

    Raises:
        UserError: DIST_TIMEOUT is not a number of seconds.
    """
    text = os.environ.get("DIST_TIMEOUT") or str(DEFAULT_DIST_TIMEOUT)
    seconds = above_zero(text)
    if seconds is None:
        raise UserError(f"DIST_TIMEOUT: {text} is not a number of seconds; write one above 0 into .env, e.g. 600")
    return seconds


def above_zero(text: str) -> float | None:
    """The finite number above 0 that a text is; None: it is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 < number < float("inf") else None


def _below_base(variable: str) -> Path | None:
    path = os.environ.get(variable)
    return base_dir() / Path(path).expanduser() if path else None


if __name__ == "__main__":
    load_environment()
    question, *arguments = sys.argv[1:]
    try:
        answer = {f.__name__: f for f in (cache_dir, model_dir, log_dir, recipe_dir)}[question](*arguments)
    except UserError as error:
        sys.exit(f"error: {error}")
    print(answer or "")
