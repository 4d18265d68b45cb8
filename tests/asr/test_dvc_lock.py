"""Run by DVC a stage knows what came before it, as dvc.lock has it; run by hand it claims nothing."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from asr.dvc_lock import stages_before

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
PARAMS = """
base_model: {output_dir: outputs/base_model, source: folder, folder: /home/somebody/whisper}
merge_lora: {output_dir: outputs/merge_lora, model_dir: outputs/base_model, lora_model: x, features_dir: x, tolerance: 3e-06}
convert_to_ggml: {output_dir: outputs/convert_to_ggml, model_dir: outputs/merge_lora, types: [f16]}
"""
TELL = "from asr.dvc_lock import stages_before; import json; print(json.dumps(vars(stages_before())))"


def stage(name: str, deps: list, command: str) -> dict:
    out = f"outputs/{name}"
    return {"cmd": f"mkdir -p {out} && {command} > {out}/x", "params": [name], "deps": deps, "outs": [out]}


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A recipe in a repository, run by DVC: its last stage writes what it knows."""
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run(["dvc", "init", "--quiet"], cwd=tmp_path, check=True)
    folder = tmp_path / "recipes/tiny"
    (folder / "data").mkdir(parents=True)
    (folder / "data/corpus").write_text("raw")
    (folder / "scripts").mkdir()
    (folder / "scripts/code.py").touch()
    (folder / "params.yaml").write_text(PARAMS)
    stages = {
        "base_model": stage("base_model", ["data/corpus", "scripts/code.py"], "echo base"),
        "merge_lora": stage("merge_lora", ["outputs/base_model"], "echo merged"),
        "convert_to_ggml": stage("convert_to_ggml", ["outputs/merge_lora/x"], f"{sys.executable} -c '{TELL}'"),
        "evaluation": {
            "cmd": "mkdir -p outputs/evaluation",
            "deps": ["outputs/convert_to_ggml"],
            "outs": ["outputs/evaluation"],
        },
    }
    with (folder / "dvc.yaml").open("w") as file:
        YAML().dump({"stages": stages}, file)
    monkeypatch.setenv("PYTHONPATH", str(SCRIPTS))
    return folder


def test_run_by_dvc_a_stage_knows_all_that_came_before_and_nothing_of_what_follows(recipe):
    told = recipe / "outputs/convert_to_ggml/x"
    for _ in range(2):  # the second time its own output, and what follows, are in dvc.lock too
        command = ["dvc", "repro", "--quiet", "--force", "recipes/tiny/dvc.yaml"]
        subprocess.run(command, cwd=recipe.parents[1], check=True)
        known = json.loads(told.read_text())
        assert known["data"].keys() == {"outputs/base_model", "outputs/merge_lora", "data/corpus"}
        assert known["data"]["data/corpus"] == hashlib.md5(b"raw").hexdigest()
        assert known["data"]["outputs/merge_lora"].endswith(".dir")
        assert known["params"].keys() == {"base_model", "merge_lora"}
        assert known["params"]["merge_lora"]["tolerance"] == 3e-06
    assert known["params"]["base_model"]["folder"] == "whisper"  # what is the machine's own is not told


def test_by_hand_or_without_a_lock_nothing_is_claimed(recipe, monkeypatch):
    monkeypatch.delenv("DVC_STAGE", raising=False)
    (recipe / "dvc.lock").write_text(
        "schema: '2.0'\nstages: {base_model: {outs: [{path: outputs/base_model, md5: a}]}}\n"
    )
    assert stages_before(recipe) is None
    monkeypatch.setenv("DVC_STAGE", "recipes/tiny/dvc.yaml:merge_lora")
    assert stages_before(recipe).data == {"outputs/base_model": "a"}
    monkeypatch.setenv("DVC_STAGE", "of_another_pipeline")
    assert stages_before(recipe) is None
    (recipe / "dvc.lock").unlink()
    monkeypatch.setenv("DVC_STAGE", "merge_lora")
    assert stages_before(recipe) is None


def test_defaults_that_the_file_does_not_name_are_told_and_an_older_section_stays_as_it_was(recipe, monkeypatch):
    monkeypatch.setenv("DVC_STAGE", "merge_lora")
    lock = {"outs": [{"path": "outputs/base_model", "md5": "a"}]}
    section = YAML(typ="safe", pure=True).load(SCRIPTS.parent / "params.yaml")["prepare_audio"]
    source = section["sources"]["general"] | {"path": "/mnt/cv"}
    del source["licence"]
    sections = {"prepare_audio": section | {"sources": {"cv": source}}, "base_model": {"gone": 1}}
    with (recipe / "dvc.lock").open("w") as file:
        YAML().dump({"stages": {"base_model": lock | {"params": {"params.yaml": sections}}}}, file)
    found = stages_before(recipe).params
    assert found["base_model"] == {"gone": 1}
    told = found["prepare_audio"]["sources"]["cv"]
    assert (told["licence"], told["path"]) == ("CC0-1.0", "cv")
