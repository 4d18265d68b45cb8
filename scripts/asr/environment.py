"""Machine facts: what `.env` and the environment say, never `params.yaml`.

`.env` (see `.env.template`) is read once, before any library that looks at the environment; a variable that is
already set wins over the file.
"""

import os
from pathlib import Path

from dotenv import load_dotenv

REPOSITORY = Path(__file__).resolve().parents[2]


def load_environment() -> None:
    """Read `.env`, point the Hub's caches below CACHE_DIR, and switch telemetry off unless it is asked for."""
    load_dotenv(REPOSITORY / ".env")
    for name in ("BASE_DIR", "CACHE_DIR", "MODEL_DIR", "LOG_DIR", "CONFIG_DIR", "HF_TOKEN", "WANDB_API_KEY"):
        if os.environ.get(name) == "":  # `HF_TOKEN=` in .env means "none", not an empty token
            del os.environ[name]
    if "CACHE_DIR" in os.environ:
        cache = base_dir() / os.environ["CACHE_DIR"]
        os.environ.setdefault("HF_HOME", str(cache / "huggingface"))
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("DVC_NO_ANALYTICS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # forked loader workers would warn at every batch


def base_dir() -> Path:
    """The folder that relative machine paths start from: BASE_DIR, else the repository."""
    return REPOSITORY / os.environ.get("BASE_DIR", "")


def log_dir() -> Path:
    """Where checkpoints and TensorBoard's events go: LOG_DIR, else `runs/` beside the recipe's `params.yaml`.

    Under LOG_DIR each recipe has a folder of its own name, so that two recipes never mix.
    """
    if "LOG_DIR" not in os.environ:
        return Path("runs")
    here = Path.cwd()
    recipe = "sample" if here == REPOSITORY else here.name
    return base_dir() / os.environ["LOG_DIR"] / recipe


def workers() -> int:
    """Processes for work that is one task a core: WORKERS, else the number of usable cores."""
    return int(os.environ.get("WORKERS") or len(os.sched_getaffinity(0)))
