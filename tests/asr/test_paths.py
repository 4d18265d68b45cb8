"""Laws: an output folder is whole or as it was before; a fingerprint changes with its parts and with nothing else."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from asr.errors import UserError
from asr.paths import fingerprint, output_folder, require_folder, require_own, run_folder

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def write(path: Path, text: str) -> None:
    with output_folder(path) as folder:
        (folder / "file").write_text(text)


def test_output_folder_appears_whole_and_replaces_what_was_there(tmp_path):
    with output_folder(tmp_path / "outputs/stage") as folder:
        (folder / "old").write_text("1")
        assert not (tmp_path / "outputs/stage").exists()
    write(tmp_path / "outputs/stage", "2")
    assert contents(tmp_path) == {"outputs/stage/file": "2"}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_output_folder_stays_as_it_was_when_the_block_fails(tmp_path, error):
    write(tmp_path / "stage", "before")
    with pytest.raises(error), output_folder(tmp_path / "stage") as folder:
        (folder / "file").write_text("half")
        raise error
    assert contents(tmp_path) == {"stage/file": "before"}


def test_killed_writer_leaves_nothing_that_looks_whole_and_the_next_one_clears_it(tmp_path):
    program = (
        "import os, signal; from pathlib import Path; from asr.paths import output_folder\n"
        "with output_folder(Path('stage')) as folder:\n"
        "    (folder / 'half').write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": str(SCRIPTS)})
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "stage").exists()
    write(tmp_path / "stage", "whole")
    assert contents(tmp_path) == {"stage/file": "whole"}


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_run_that_is_killed_while_it_replaces_the_old_one_loses_neither(tmp_path, renames):
    """After so many of the renames at the end."""
    program = (
        "import os, sys; from pathlib import Path; from asr.paths import output_folder\n"
        "with output_folder(Path('stage'), unfinished='parts') as folder:\n"
        "    (folder / 'parts/a').write_text('part'); (folder / 'file').write_text('new')\n"
        "    rename, left = Path.rename, [int(sys.argv[1])]\n"
        "    def dying(self, target):\n"
        "        left[0] -= 1\n"
        "        os._exit(9) if left[0] < 0 else rename(self, target)\n"
        "    Path.rename = dying"
    )
    write(tmp_path / "stage", "old")
    line = [sys.executable, "-c", program, str(renames)]
    assert subprocess.run(line, cwd=tmp_path, env={"PYTHONPATH": str(SCRIPTS)}).returncode == 9
    with output_folder(tmp_path / "stage", unfinished="parts") as folder:
        assert (tmp_path / "stage/file").read_text() == ("new" if renames == 2 else "old")
        assert renames == 2 or (folder / "parts/a").read_text() == "part"
        (folder / "file").write_text("newest")
    assert contents(tmp_path) == {"stage/file": "newest"}


def test_two_runs_cannot_write_the_same_folder(tmp_path):
    program = "from pathlib import Path; from asr.paths import output_folder\nwith output_folder(Path('stage')): pass"
    with output_folder(tmp_path / "stage") as folder:
        (folder / "file").write_text("first")
        other = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env={"PYTHONPATH": str(SCRIPTS)},
            capture_output=True,
            text=True,
        )
        assert "UserError: stage.partial: another run is writing it" in other.stderr
    assert contents(tmp_path) == {"stage/file": "first"}


def test_only_the_pipelines_own_folders_are_replaced_unasked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "outputs/stage", "made by a stage")
    write(own := tmp_path / "own", "made by a person")
    (tmp_path / "empty").mkdir()
    (tmp_path / "outputs/linked").symlink_to(own)
    (tmp_path / "link").symlink_to(tmp_path / "outputs")
    for name in ("outputs/stage", "./outputs/new", "new", "empty", "outputs/linked", "link/stage"):
        require_own(Path(name))
    for name in ("own", "outputs", ".", "outputs/..", str(own)):
        with pytest.raises(UserError, match="is not empty, and what is in it would be lost"):
            require_own(Path(name))
    with pytest.raises(UserError, match="is a file; give the name of a folder"):
        require_own(Path("own/file"))
    with pytest.raises(UserError, match=r"cannot be read \(File name too long\); give a new folder"):
        require_own(Path("x" * 300))


def test_a_link_that_leads_nowhere_is_replaced_as_others_are(tmp_path):
    (tmp_path / "stage").symlink_to(tmp_path / "unmounted")
    write(tmp_path / "stage", "whole")
    assert contents(tmp_path) == {"stage/file": "whole"} and not (tmp_path / "stage").is_symlink()


def test_require_folder_says_what_makes_it(tmp_path):
    assert require_folder(tmp_path, "x") == tmp_path
    with pytest.raises(UserError, match=r"nowhere: no such folder; run base_model first"):
        require_folder(tmp_path / "nowhere", "run base_model first")


def test_fingerprint_changes_with_values_and_contents_alone(tmp_path):
    (a := tmp_path / "a").write_text("same")
    (b := tmp_path / "b").write_text("same")
    assert fingerprint({"x": 1, "y": 2}, a) == fingerprint({"y": 2, "x": 1}, b)
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
    before = fingerprint(a)
    a.write_text("other")
    assert fingerprint(a) != before


def test_run_folder_keeps_experiments_and_recipes_apart(tmp_path, monkeypatch):
    monkeypatch.delenv("LOG_DIR", raising=False)
    model, features = tmp_path / "model", tmp_path / "features"
    (features / "train").mkdir(parents=True)
    model.mkdir()
    (model / "model.safetensors").write_text("weights")
    (features / "train/utterances.arrow").write_text("utterances")

    def folder(seed=0, model_dir=model, features_dir=features):
        values = {"seed": seed, "model_dir": str(model_dir), "features_dir": str(features_dir)}
        return run_folder("train_german_model", values, ignored={"model_dir", "features_dir"})

    before = folder()
    assert before == folder() and before.parent == Path("runs/train_german_model")
    assert folder(seed=1) != before
    (tmp_path / "same").symlink_to(tmp_path)
    assert folder(model_dir=tmp_path / "same/model", features_dir=tmp_path / "same/features") == before
    for file in (model / "model.safetensors", features / "train/utterances.arrow"):
        changed = file.read_text()
        file.write_text("other")
        assert folder() != before
        file.write_text(changed)
    monkeypatch.setenv("LOG_DIR", str(tmp_path / "logs"))
    (tmp_path / "german").mkdir()
    monkeypatch.chdir(tmp_path / "german")
    assert folder().parent == tmp_path / "logs/german/train_german_model"
