"""Real recordings for the benchmarks of what comes before training: folders of Common Voice.

In: folders with `clips/` and `validated.tsv`. Out: the files of their rows, and the stage's command line for them.

    add_flags(parser)                                 # --clips, --workers
    corpora = corpora_of(given.clips)                 # one clear line instead of a traceback where they are not there
    values = stage_values(sources_of(corpora), output_dir)
    command(values)                                   # `prepare_audio` as it is called by hand
"""

import argparse
import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
DEFAULT = REPOSITORY.parent / "shared" / "data"
LANGUAGES = ("de", "en", "ru", "zh-CN")
REMEDY = "give folders of Common Voice: --clips FOLDER FOLDER …"


def add_flags(parser: argparse.ArgumentParser) -> None:
    folders = [DEFAULT / f"common_voice_{language}" for language in LANGUAGES]
    parser.add_argument(
        "--clips",
        type=Path,
        nargs="+",
        metavar="FOLDER",
        default=folders,
        help="folders of Common Voice: clips/ and validated.tsv (default: the four languages in ../shared/data)",
    )
    parser.add_argument("--workers", type=int, default=2, help="processes or threads of either side (default 2)")


def corpora_of(folders: list[Path]) -> list[tuple[Path, str]]:
    """Each folder and its language, which is the first row's locale.

    Exits with one line if a folder is not there, or not in Common Voice's layout.
    """
    corpora = []
    for folder in folders:
        table = folder.absolute() / "validated.tsv"
        if not table.is_file():
            sys.exit(f"error: {table}: no such file; {REMEDY}")
        row = next(_rows(table), {})
        if not row.get("locale"):
            sys.exit(f"error: {table}: no locale in its first row; {REMEDY}")
        corpora.append((table.parent, row["locale"].split("-")[0]))
    return corpora


def files_of(corpora: list[tuple[Path, str]]) -> list[Path]:
    """The recording of each row."""
    return [folder / "clips" / row["path"] for folder, _ in corpora for row in _rows(folder / "validated.tsv")]


def sources_of(corpora: list[tuple[Path, str]]) -> dict[str, dict]:
    """The corpora as `prepare_audio.sources`."""
    fields = {"corpus": "common_voice", "domain": "read", "splits": "speaker"}
    return {path.name: fields | {"path": str(path), "language": language} for path, language in corpora}


def stage_values(sources: dict[str, dict], output_dir: Path, model_dir: Path | None = None) -> dict:
    """The section `prepare_audio`; every clip that has no split of its own goes to train."""
    return {
        "sources": sources,
        "speaker_split": {"seed": 0, "dev_share": 0.0, "test_share": 0.0},
        "output_dir": str(output_dir),
        "model_dir": model_dir and str(model_dir),
        "min_seconds": 0.3,
        "min_peak": 0.001,
        "max_tokens": 440,
        "shard_megabytes": 500,
    }


def command(values: dict) -> list[str]:
    """The stage's command line, to be run in the repository's root."""
    flags = [f"--{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in values.items()]
    return [sys.executable, str(REPOSITORY / "scripts" / "prepare_audio.py"), *flags]


def _rows(table: Path) -> Iterator[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
