"""A stage's exports, copied to where the user keeps models: what `make export-ct2` does after the stage.

    python -m asr.model_copies convert_to_onnx german onnx-       # outputs/convert_to_onnx/int8 -> MODEL_DIR/german/onnx-int8

In: the stage's output in the recipe's folder, and evaluation's cards, where it has judged these very exports; else the cards
that the stage itself has written. Out: whole folders, or the ones that were there before. Without MODEL_DIR nothing is copied.
"""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from asr.command import run
from asr.environment import model_dir
from asr.errors import UserError
from asr.export_cards import CARD, LINEAGE, same_export
from asr.paths import output_folder, require_folder

CARDS = Path("outputs/evaluation/cards")


def main(stage: str, recipe: str, prefix: str = "") -> None:
    """Copy, and print where to."""
    made, models = Path("outputs") / stage, model_dir()
    if models is None:
        cards = (CARDS / stage).absolute()
        judged = any(same_export(cards / export.name, export) for export in made.absolute().glob("*"))
        print(
            f"The models are in {made.absolute()}"
            + (f"; their cards with the test sets' figures in {cards}" if judged else "")
        )
        return
    for copy in copy_exports(made, models / recipe, CARDS / stage, prefix):
        print(copy, flush=True)


def copy_exports(made: Path, to: Path, cards: Path, prefix: str = "") -> Iterator[Path]:
    """Copy each export, and give its copy.

    Args:
        made: folder of exports.
        to: where each goes, as `<prefix><its name>`; an export of that name there is replaced.
        cards: what evaluation has written about them, by name.

    Raises:
        UserError: there is no such folder, it cannot be copied there, something else has its name there, or another run
            copies to the same place.
    """
    remedy = f"run the stage {made.name} first"
    exports = sorted(path for path in require_folder(made, remedy).iterdir() if path.is_dir())
    copies = {export: to / f"{prefix}{export.name}" for export in exports}
    for copy in copies.values():
        _require_export(copy)
    for export, copy in copies.items():
        try:
            with output_folder(copy) as partial:
                # Contents alone: what DVC has checked out can be links, and read-only.
                shutil.copytree(export, partial, copy_function=shutil.copyfile, dirs_exist_ok=True)
                if same_export(card := cards / export.name, export):
                    for name in (CARD, LINEAGE):
                        shutil.copyfile(card / name, partial / name)
        except OSError as error:
            raise UserError(
                f"{copy}: {export} cannot be copied there: {error}; mend that, or give another MODEL_DIR"
            ) from error
        yield copy


def _require_export(copy: Path) -> None:
    """Raises `UserError` if something that is no export stands where a copy is to go."""
    if copy.is_file():
        raise UserError(f"{copy}: is a file, and would be lost; move it, or give another MODEL_DIR")
    if copy.is_dir() and not (copy / LINEAGE).is_file() and any(copy.iterdir()):
        raise UserError(
            f"{copy}: holds no {LINEAGE}, so it is no export, and would be lost; move it, or give another MODEL_DIR"
        )


if __name__ == "__main__":
    run(lambda: main(*sys.argv[1:]))
