"""Training as DVC starts it: the same experiment on any number of devices, and none lost to a kill."""

import csv
import json
import math
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from asr.callbacks import LogLines
from asr.checkpoints import is_whole, seal, step_of
from asr.errors import UserError
from asr.features import open_features, write_features

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def losses(folder):
    with (folder / "loss.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def test_one_device_two_machines_and_accumulation_are_one_experiment(tiny_recipe, run_script, run_machines):
    run_script("train_german_model", "--output_dir", "outputs/one")
    flags = ["--device_batch", "2", "--output_dir"]  # of 8: two machines accumulate too; two devices of one do not
    run_script("train_german_model", *flags, "outputs/accumulated")
    _, second = run_machines("train_german_model", *flags, "outputs/two")
    assert second == ""  # the first machine speaks and writes
    one, accumulated, two = (losses(tiny_recipe / "outputs" / name) for name in ("one", "accumulated", "two"))
    assert len(one) == 6
    assert accumulated == pytest.approx(one, rel=1e-4)
    assert two == pytest.approx(one, rel=1e-4)
    weights = [load_file(tiny_recipe / f"outputs/{name}/model.safetensors") for name in ("one", "two")]
    for name, weight in weights[0].items():
        assert weights[1][name] == pytest.approx(weight, abs=1e-3)


def test_the_steps_of_a_training_add_up_in_order(tiny_recipe, run_script, monkeypatch):
    """What that changes with two threads stands in tests/asr/test_training.py; here it is on, and afterwards as it was."""
    during = []
    monkeypatch.setattr(
        LogLines,
        "on_step_end",
        lambda *_, **__: during.append(torch.are_deterministic_algorithms_enabled()),
        raising=False,
    )
    run_script("train_german_model", "--output_dir", "outputs/one")
    assert during == [True] * 6 and not torch.are_deterministic_algorithms_enabled()


# accelerate spreads a model over GPUs alone. With this lifted the same code runs on a CPU, over gloo.
SPREAD_ON_A_CPU = f"""
import runpy, sys
sys.path.insert(0, {str(SCRIPTS)!r})
from accelerate.state import PartialState
from accelerate.utils import DistributedType
from asr import training

def training_arguments(*given, arguments=training.training_arguments):
    arguments = arguments(*given)
    PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
    return arguments

training.training_arguments = training_arguments
runpy.run_path({str(SCRIPTS / "train_german_model.py")!r}, run_name="__main__")
"""


@pytest.mark.slow
def test_a_model_that_is_spread_over_devices_learns_the_same_and_is_delivered_whole(tiny_recipe, run_script):
    flags = ["--guided_attention_weight", "0", "--output_dir"]
    run_script("train_german_model", *flags, "outputs/one")
    (tiny_recipe / "spread.py").write_text(SPREAD_ON_A_CPU)
    command = [sys.executable, "-P", SCRIPTS / "asr/launch.py", "spread.py", *flags, "outputs/spread"]
    done = subprocess.run(
        command, cwd=tiny_recipe, env=os.environ | {"GPUS": "2", "FSDP": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    one, spread = (tiny_recipe / "outputs" / name for name in ("one", "spread"))
    assert losses(spread) == pytest.approx(losses(one), rel=1e-4)
    assert (spread / "config.json").read_bytes() == (one / "config.json").read_bytes()
    expected, weights = load_file(one / "model.safetensors"), load_file(spread / "model.safetensors")
    assert weights.keys() == expected.keys()
    for name, weight in weights.items():
        assert weight == pytest.approx(expected[name], abs=1e-3), name


def test_a_model_is_not_spread_in_silence_over_nothing(run_script, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")  # as FSDP=1 has launch.py say
    done = run_script("train_german_model", check=False)
    assert done.returncode == 1 and "error: FSDP=1: a model is spread over several GPUs only" in done.stderr


def test_killed_with_its_last_checkpoint_cut_in_half_it_ends_with_the_same_weights(
    tiny_recipe, run_processes, signal_at
):
    flags = ["--eval_steps", "2"]
    run_processes(1, "train_german_model", *flags, "--output_dir", "outputs/uninterrupted")  # in a process alike

    signal_at(signal.SIGKILL, "step 5/6", "train_german_model", *flags)
    uninterrupted, again = (tiny_recipe / "outputs" / name for name in ("uninterrupted", "train_german_model"))
    assert not again.exists()
    (half,) = tiny_recipe.glob("runs/*/*/checkpoint-4/optimizer.pt")
    os.truncate(half, half.stat().st_size // 2)

    said = run_processes(1, "train_german_model", *flags)
    assert "checkpoint-4 is not whole" in said and "resuming from step 2: " in said
    assert "step 3/6" in said and "step 2/6" not in said
    for name in ("model.safetensors", "loss.csv", "wer.csv"):
        assert (again / name).read_bytes() == (uninterrupted / name).read_bytes()
    assert not list(tiny_recipe.glob("runs/**/checkpoint-*"))  # the model is delivered; its checkpoints are not needed


def test_a_full_disk_while_saving_is_one_message_and_the_checkpoint_before_stays(tiny_recipe, run_script, monkeypatch):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill_the_disk(self, args, state, control, **_):
        if state.global_step == 5:
            resource.setrlimit(
                resource.RLIMIT_FSIZE, (2**20, limits[1])
            )  # no file can be larger than 1 MB from here on

    monkeypatch.setattr(LogLines, "on_step_end", fill_the_disk, raising=False)
    try:
        done = run_script("train_german_model", check=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert done.returncode == 1
    assert re.fullmatch(
        r"error: .*: the disk is full, or a quota .*; free some space and run the stage again\n", done.stderr
    )
    (checkpoint,) = tiny_recipe.glob("runs/*/*/checkpoint-*")
    assert checkpoint.name == "checkpoint-3" and is_whole(checkpoint)

    monkeypatch.undo()
    assert "resuming from step 3: " in run_script("train_german_model").stdout
    assert losses(tiny_recipe / "outputs/train_german_model")[3:]


def test_a_best_checkpoint_that_was_lost_is_not_what_the_training_ends_with(tiny_recipe, run_script, monkeypatch):
    def stop(self, args, state, control, **_):
        if state.global_step == 5:
            raise UserError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(LogLines, "on_step_end", stop, raising=False)
        run_script("train_german_model", "--eval_steps", "2", check=False)
    _, last = sorted(tiny_recipe.glob("runs/*/*/checkpoint-*"))
    best = last.with_name("checkpoint-2")
    state = json.loads((last / "trainer_state.json").read_text())
    state |= {"best_global_step": 2, "best_metric": 0.0, "best_model_checkpoint": str(best)}
    (last / "trainer_state.json").write_text(json.dumps(state))
    seal(last)
    (best / "model.safetensors").unlink()
    said = run_script("train_german_model", "--eval_steps", "2").stdout
    assert "resuming from step 4" in said and "the best checkpoint, of step 2, is not whole" in said


@pytest.fixture
def poison(tiny_recipe):
    """Give the recipe features of its own in which the utterances that `wanted` picks by their number are not numbers."""

    def poison(wanted) -> None:
        copy = tiny_recipe / "outputs/poisoned"
        shutil.copytree(tiny_recipe / "outputs/extract_features", copy)
        cache = open_features(copy, "train", 80)
        rows = [cache.utterances[i] for i in range(len(cache))]
        items = [(row, np.array(cache.log_mel(i))) for i, row in enumerate(rows)]
        for row, log_mel in items:
            if wanted(int(row["id"].split("/")[1])):
                log_mel[:] = np.nan
        shutil.rmtree(copy / "train")
        write_features(copy / "train", 80, sum(len(log_mel) for _, log_mel in items), items)

    return poison


POISONED = ["--features_dir", "outputs/poisoned"]


def test_a_step_whose_loss_is_not_finite_is_skipped_and_its_utterances_written_down(tiny_recipe, run_script, poison):
    poison(lambda number: number == 8)
    said = run_script("train_german_model", *POISONED, "--steps", "12").stdout
    (file,) = tiny_recipe.glob("runs/*/*/non_finite.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines and all("general/8" in line["ids"] and line["loss"] == "nan" for line in lines)
    assert f"step {lines[0]['step']}: the loss is not finite; the step is skipped" in said
    curve = losses(tiny_recipe / "outputs/train_german_model")
    assert [step for step, loss in enumerate(curve, 1) if math.isnan(loss)] == [line["step"] for line in lines]
    weights = load_file(tiny_recipe / "outputs/train_german_model/model.safetensors")
    assert all(np.isfinite(weight).all() for weight in weights.values())


@pytest.mark.slow
def test_two_processes_skip_such_a_step_together_and_stop_together(tiny_recipe, start, poison):
    poison(lambda number: number == 8)
    with start(2, "train_german_model", *POISONED, "--steps", "200", "--eval_steps", "200") as process:
        assert any(": the loss is not finite" in line for line in process.stdout), process.stderr.read()
        process.terminate()  # the launcher alone
        said, errors = process.communicate()
    assert process.returncode == 143, errors
    (checkpoint,) = tiny_recipe.glob("runs/*/*/checkpoint-*")
    assert f"stopped by SIGTERM at step {step_of(checkpoint)}/200" in said and is_whole(checkpoint)
    assert {"rng_state_0.pth", "rng_state_1.pth"} <= {path.name for path in checkpoint.iterdir()}
    assert all(np.isfinite(weight).all() for weight in load_file(checkpoint / "model.safetensors").values())


def test_a_skipped_step_changes_no_weight(tiny_recipe, run_script, poison):
    poison(lambda number: True)
    run_script("train_german_model", *POISONED, "--max_non_finite", "7")
    before, after = (
        load_file(tiny_recipe / f"outputs/{name}/model.safetensors") for name in ("base_model", "train_german_model")
    )
    assert all((before[name] == after[name]).all() for name in before)


def test_too_many_of_them_in_a_row_end_the_training(tiny_recipe, run_script, poison):
    poison(lambda number: True)
    done = run_script("train_german_model", *POISONED, check=False)
    assert done.returncode == 1
    assert re.fullmatch(
        r"error: .*/non_finite.jsonl: the loss was not finite 3 times in a row, last at step 3; .*\n", done.stderr
    )
    assert not (tiny_recipe / "outputs/train_german_model").exists()


def test_an_unwritable_run_folder_is_refused_before_training(tiny_recipe, run_script, monkeypatch):
    (tiny_recipe / "logs").touch()
    monkeypatch.setenv("LOG_DIR", str(tiny_recipe / "logs"))
    done = run_script("train_german_model", check=False)
    assert done.returncode == 1 and "step 1/" not in done.stdout
    assert re.fullmatch(r"error: .*/logs/.*: checkpoints cannot be written here \(Not a directory\); .*\n", done.stderr)


def test_a_batch_that_cannot_be_dealt_out_is_refused_before_training(tiny_recipe, run_script):
    done = run_script("train_german_model", "--global_batch", "7", "--device_batch", "2", check=False)
    assert done.returncode == 1
    assert (
        "global_batch: 7, windows.full_batch: 4, windows.packed_batch: 8 cannot be dealt out evenly to 1 device(s)"
        in done.stderr
    )
    assert not (tiny_recipe / "outputs/train_german_model").exists()


def test_an_unknown_source_names_those_there_are(run_script):
    done = run_script("train_german_model", "--sources", '{"generall": 1}', check=False)
    assert done.returncode == 1
    assert "no utterance of source 'generall'; there are domain, general, noise" in done.stderr


def test_a_part_with_its_own_rate_an_average_and_an_early_end_is_the_same_after_two_interruptions(
    tiny_recipe, run_script, interrupt_at, monkeypatch
):
    from safetensors.numpy import load_file

    from asr import training

    # A rate of 1e-9 never gets better, so that the second evaluation ends the training.
    flags = ["--trainable.what", "last_blocks", "--trainable.decoder_blocks", "1", "--ctc_weight", "0", "--steps", "9"]
    flags += [
        "--learning_rates",
        '{"decoder": 1e-9}',
        "--ema_decay",
        "0.9",
        "--early_stopping",
        "1",
        "--best_by",
        "cer",
    ]
    said = run_script("train_german_model", *flags, "--output_dir", "outputs/uninterrupted").stdout
    assert "stopping at step 6: no better CER in 1 evaluation(s)" in said and "evaluations took" in said

    def killed(*_):
        raise KeyboardInterrupt

    interrupt_at(4, "train_german_model", *flags)
    with monkeypatch.context() as patched:  # while it delivers
        patched.setattr(training, "save_curves", killed)
        assert "checkpoint-3" in run_script("train_german_model", *flags, check=False).stdout
    said = run_script("train_german_model", *flags).stdout
    assert "checkpoint-6" in said and "step 7/" not in said and "evaluations took" not in said
    one, other = (tiny_recipe / "outputs" / name for name in ("uninterrupted", "train_german_model"))
    for name in ("model.safetensors", "loss.csv", "wer.csv"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    assert len(losses(one)) == 6

    base = load_file(tiny_recipe / "outputs/base_model/model.safetensors")
    trained = load_file(one / "model.safetensors")
    moved = {name for name in base if base[name].tobytes() != trained[name].tobytes()}
    assert moved and all(name.startswith("model.decoder.layers.0.") for name in moved)


def test_the_guides_flags_and_what_contradicts_itself(tiny_recipe, run_script):
    done = run_script("train_german_model", "--base_model=outputs/base_model", "--freeze_encoder=True", check=False)
    assert (
        "ctc_weight: 0.3 teaches the whole encoder; with trainable.what: encoder_frozen give ctc_weight: 0"
        in done.stderr
    )
    done = run_script("train_german_model", "--trainable.what", "last_blocks", check=False)
    assert "last_blocks needs a number of blocks" in done.stderr
    assert not (tiny_recipe / "outputs/train_german_model").exists()
