"""Exports are copied whole, with evaluation's card where it has judged the very same, and what is there is replaced at once."""

import json
import os

import pytest

from asr.errors import UserError
from asr.model_copies import copy_exports


@pytest.fixture
def made(tmp_path):
    """Two exports as DVC checks them out, a link and read-only, and evaluation's cards of both."""
    for name in ("float32", "int8"):
        export, card = tmp_path / "made" / name, tmp_path / "cards" / name
        export.mkdir(parents=True)
        card.mkdir(parents=True)
        cache = tmp_path / f"cache-{name}"
        cache.write_text(f"weights {name}")
        cache.chmod(0o444)
        (export / "model.bin").symlink_to(cache)
        lineage = {"git": None, "inputs": {"model": {"sha256": name}}, "metrics": {"dev": {"recordings": 32}}}
        write(export, lineage, "of dev")
        write(card, lineage | {"metrics": lineage["metrics"] | {"test": {"general": {}}}}, "of the test sets")
    return tmp_path / "made"


def write(folder, lineage, card):
    (folder / "lineage.json").write_text(json.dumps(lineage))
    (folder / "README.md").write_text(card)


def copied(made, tmp_path, prefix=""):
    return list(copy_exports(made, tmp_path / "my models/tiny", tmp_path / "cards", prefix))


def test_a_copy_is_the_export_with_the_card_of_the_evaluation_that_judged_it(made, tmp_path):
    copies = copied(made, tmp_path, "onnx-")
    assert copies == [tmp_path / "my models/tiny" / name for name in ("onnx-float32", "onnx-int8")]
    for copy, name in zip(copies, ("float32", "int8"), strict=True):
        model = copy / "model.bin"
        assert model.read_text() == f"weights {name}" and not model.is_symlink() and os.stat(model).st_mode & 0o200
        assert (copy / "README.md").read_text() == "of the test sets"
        assert "test" in json.loads((copy / "lineage.json").read_text())["metrics"]


def test_an_export_that_was_not_judged_or_was_made_anew_since_keeps_its_own_card(made, tmp_path):
    write(made / "int8", {"git": None, "inputs": {"model": {"sha256": "another"}}}, "of another")
    (tmp_path / "cards/float32/lineage.json").unlink()
    float32, int8 = copied(made, tmp_path)
    assert (int8 / "README.md").read_text() == "of another" and (float32 / "README.md").read_text() == "of dev"
    assert "test" not in json.loads((int8 / "lineage.json").read_text()).get("metrics", {})


def test_a_copy_replaces_the_one_before_and_leaves_the_users_own_folders(made, tmp_path):
    (own := tmp_path / "my models/tiny/own").mkdir(parents=True)
    (old := tmp_path / "my models/tiny/int8").mkdir()
    for name in ("of_before", "lineage.json"):
        (old / name).touch()
    copied(made, tmp_path)
    assert {path.name for path in own.parent.iterdir()} == {"float32", "int8", "own"}
    assert {path.name for path in old.iterdir()} == {"README.md", "lineage.json", "model.bin"}


def test_a_copy_that_fails_leaves_the_one_before(made, tmp_path):
    copied(made, tmp_path)
    (tmp_path / "cache-int8").unlink()  # DVC's cache was cleared
    with pytest.raises(UserError, match=r"tiny/int8: .*made/int8 cannot be copied there: .*No such file.*MODEL_DIR"):
        copied(made, tmp_path)
    left = tmp_path / "my models/tiny"
    assert {path.name for path in left.iterdir()} == {"float32", "int8"}
    assert (left / "int8/model.bin").read_text() == "weights int8"


def test_no_export_and_no_folder_to_copy_to_are_one_message(made, tmp_path):
    (tmp_path / "my models").write_text("a file")
    with pytest.raises(UserError, match=r"my models/tiny/float32.*Not a directory"):
        copied(made, tmp_path)
    with pytest.raises(UserError, match=r"convert_to_onnx: no such folder; run the stage convert_to_onnx first"):
        list(copy_exports(tmp_path / "convert_to_onnx", tmp_path, tmp_path))


def test_what_is_no_export_is_not_replaced_by_one(made, tmp_path):
    (own := tmp_path / "my models/tiny/int8").mkdir(parents=True)
    (own / "thesis.tex").touch()
    with pytest.raises(UserError, match=r"tiny/int8: holds no lineage\.json.*give another MODEL_DIR"):
        copied(made, tmp_path)
    assert [path.name for path in (tmp_path / "my models/tiny").rglob("*")] == ["int8", "thesis.tex"]
    (own / "thesis.tex").rename(own.parent / "float32")
    with pytest.raises(UserError, match=r"tiny/float32: is a file, and would be lost"):
        copied(made, tmp_path)
