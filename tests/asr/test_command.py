"""How every stage starts: `--help` at once, the file checked before anything heavy, flags over the file, one message."""

import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy
import pytest

from asr.command import full_disk, parse, run_stage
from asr.errors import UserError
from asr.params import BaseModel, ConvertToFaster, Evaluation, MergeLora, TrainGermanModel
from asr.params_file import Params, read_params

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPTS = {path.stem for path in (REPOSITORY / "scripts").glob("*.py")}
STAGES = sorted(SCRIPTS - {"transcribe"})  # which reads no params.yaml
HEAVY = {"torch", "transformers", "datasets", "ctranslate2", "librosa", "peft", "pandas", "numpy"}


@pytest.fixture
def sample(tmp_path, monkeypatch) -> Path:
    """A folder with the sample's params.yaml, and in it."""
    (tmp_path / "params.yaml").write_text((REPOSITORY / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(stage: str, *flags: str, cwd: Path, **environment: str) -> tuple[int, str, set[str]]:
    """Exit status, all that a stage said, and the libraries that it imported."""
    command = [sys.executable, "-X", "importtime", str(REPOSITORY / "scripts" / f"{stage}.py"), *flags]
    done = subprocess.run(command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True)
    lines = done.stderr.splitlines(keepends=True)
    libraries = {line.rsplit("|", 1)[1].strip().split(".")[0] for line in lines if line.startswith("import time:")}
    return (
        done.returncode,
        done.stdout + "".join(line for line in lines if not line.startswith("import time:")),
        libraries,
    )


@pytest.mark.parametrize("stage", STAGES)
def test_help_lists_every_parameter_and_imports_nothing_heavy(stage):
    status, said, libraries = run(stage, "--help", cwd=REPOSITORY)
    assert status == 0, said
    if stage in ("lint_labels", "push_to_hub"):  # they read all sections, take no parameter, and say what they are for
        assert f"make {stage.replace('_', '-')}" in said
    else:
        section = get_args(Params.model_fields["train_german_model" if stage == "probe" else stage].annotation)[0]
        assert [name for name in section.model_fields if f"--{name}" not in said] == []
    assert not libraries & HEAVY


def test_help_is_given_where_there_is_no_params_yaml(tmp_path):
    status, said, _ = run("evaluation", "--help", cwd=tmp_path)
    assert status == 0 and "--beam_size" in said and "--predictions" in said


def test_help_of_transcribe_lists_its_flags_and_imports_nothing_heavy(tmp_path):
    status, said, libraries = run("transcribe", "--help", cwd=tmp_path)
    assert status == 0 and not libraries & HEAVY
    for flag in ("model", "language", "format", "output_dir", "existing", "prompt", "hotwords", "beam_size", "device"):
        assert f"--{flag} " in said


@pytest.mark.parametrize("stage", STAGES)
def test_a_typo_anywhere_in_the_file_stops_every_stage_before_anything_heavy(stage, sample):
    file = sample / "params.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("beam_size:", "beam_sise:"), encoding="utf-8")
    status, said, libraries = run(stage, cwd=sample, HF_TOKEN="hf_secret", WANDB_API_KEY="wandb_secret")
    assert status == 1
    assert re.fullmatch(
        r"error: params.yaml:\d+: evaluation.beam_size: missing; add it\n"
        r"params.yaml:\d+: evaluation.beam_sise: unknown parameter; did you mean beam_size\?\n",
        said,
    )
    assert not libraries & HEAVY
    assert list(sample.iterdir()) == [file]


@pytest.mark.parametrize("stage", sorted({*STAGES} - {"lint_labels", "probe", "pseudo_label", "push_to_hub"}))
def test_no_stage_replaces_a_persons_own_folder_and_says_so_before_anything_heavy(stage, sample):
    (sample / "papers").mkdir()
    (thesis := sample / "papers/thesis.tex").write_text("Kapitel 1")
    status, said, libraries = run(stage, "--output_dir", "papers", cwd=sample)
    assert status == 1 and not libraries & HEAVY and thesis.read_text() == "Kapitel 1"
    assert said.startswith(
        "error: --output_dir papers: is not empty, and what is in it would be lost; give a new folder"
    )


def test_without_flags_the_section_is_the_files(sample):
    assert parse(ConvertToFaster, []) == read_params(sample / "params.yaml").convert_to_faster


def test_a_flag_overrides_the_file_for_this_run_and_leaves_the_rest(sample):
    file = read_params(sample / "params.yaml")
    given = parse(ConvertToFaster, ["--quantizations", '["int16"]', "--model_dir=elsewhere"])
    changed = {"quantizations": ["int16"], "model_dir": Path("elsewhere")}
    assert given == file.convert_to_faster.model_copy(update=changed)
    width = 3 * file.base_model.new.width
    given = parse(BaseModel, ["--new.width", str(width)])
    assert given.new == file.base_model.new.model_copy(update={"width": width})
    assert parse(MergeLora, ["--tolerance", "3e-06"]).tolerance == 3e-6
    for flag in (["--models", '{"mine": "there"}'], ['--models={"mine": "there"}'], ["--models", "mine=there"]):
        assert parse(Evaluation, flag).models == {"mine": Path("there")}


def test_a_wrong_flag_is_named_with_its_value(sample):
    with pytest.raises(UserError, match=r"--tolerance: .*got 'small'"):
        parse(MergeLora, ["--tolerance", "small"])
    with pytest.raises(UserError, match=r"--tolerence: merge_lora has no such parameter; did you mean --tolerance\?"):
        parse(MergeLora, ["--tolerence", "1"])


def test_a_check_of_several_values_is_told_without_all_of_them(sample):
    with pytest.raises(UserError) as raised:
        parse(TrainGermanModel, ["--steps=5"])
    assert "eval_steps" in str(raised.value) and len(str(raised.value)) < 200
    with pytest.raises(UserError, match=r"--windows: full_share, .*packed_seconds.*: kind: single has no use for them"):
        parse(TrainGermanModel, ["--windows.kind=single"])
    assert parse(TrainGermanModel, ['--windows={"kind": "single"}']).windows.full_share == 1.0


def test_a_recipe_without_the_stage_says_so(sample):
    (sample / "params.yaml").write_text("merge_lora:\n")
    with pytest.raises(
        UserError, match=r"params.yaml: merge_lora: no such section; this recipe does not have the stage"
    ):
        parse(MergeLora, [])


@pytest.fixture
def start(sample, monkeypatch, capsys):
    """Run a stage of our own with `main`; give its exit status and what it said."""

    def start(main) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["stage"])
        with pytest.raises(SystemExit) as ended:
            run_stage(MergeLora, main)
        return ended.value.code, capsys.readouterr().err

    return start


def test_a_users_mistake_is_one_message(start):
    def main(params):
        raise UserError("corpus.tsv:3: no sentence; add one")

    assert start(main) == (1, "error: corpus.tsv:3: no sentence; add one\n")


def write_to_a_full_disk(folder: Path) -> None:
    with open("/dev/full", "w") as file:
        file.write("x")


def write_wrapped(folder: Path) -> None:
    try:
        write_to_a_full_disk(folder)
    except OSError as error:
        raise UserError("model: cannot be written") from error


def write_safetensors(folder: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"a": numpy.zeros(2**20, "float32")}, folder / "model.safetensors")


def write_torch(folder: Path) -> None:
    import torch

    torch.save(torch.zeros(2**20), folder / "optimizer.pt")


def write_arrow(folder: Path) -> None:
    import pyarrow

    with pyarrow.OSFile(str(folder / "00000.arrow"), "wb") as file:
        file.write(bytes(2**22))


@pytest.mark.parametrize(
    "write",
    [write_to_a_full_disk, write_wrapped, write_safetensors, write_torch, write_arrow],
    ids=lambda f: f.__name__,
)
def test_a_full_disk_is_one_message_whoever_writes(start, sample, write):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, limits[1]))
        status, message = start(lambda params: write(sample))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert status == 1
    assert re.fullmatch(r"error: \S+: the disk is full, or .*; free some space and run the stage again\n", message)


@pytest.mark.parametrize("said", ["I/O error: No space left on device (os error 28)", "file write failed"])
def test_what_libraries_say_of_a_full_disk(said):
    assert full_disk(RuntimeError(said)) == Path.cwd()
    assert full_disk(RuntimeError("CUDA out of memory")) is None
    assert full_disk(FileNotFoundError(2, "No such file or directory", "corpus.tsv")) is None


def test_our_own_mistakes_keep_their_traceback(sample, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["stage"])

    def main(params):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_stage(MergeLora, main)
