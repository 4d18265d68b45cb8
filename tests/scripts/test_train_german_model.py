"""Training as DVC starts it: the same experiment on any number of devices, and none lost to a kill."""

import csv

import pytest


def losses(folder):
    with (folder / "loss.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def test_one_device_two_devices_and_accumulation_are_one_experiment(tiny_recipe, run_script, run_processes):
    run_script("train_german_model", "--output_dir", "outputs/one")
    flags = ["--device_batch", "2", "--output_dir"]  # of 8: two devices accumulate too; those of the adapter do not
    run_script("train_german_model", *flags, "outputs/accumulated")
    run_processes(2, "train_german_model", *flags, "outputs/two")
    one, accumulated, two = (losses(tiny_recipe / "outputs" / name) for name in ("one", "accumulated", "two"))
    assert len(one) == 6
    assert accumulated == pytest.approx(one, rel=1e-4)
    assert two == pytest.approx(one, rel=1e-4)


def test_killed_and_run_again_it_ends_with_the_same_weights(tiny_recipe, run_processes, kill_at):
    run_processes(1, "train_german_model", "--output_dir", "outputs/uninterrupted")  # bit for bit: in a process alike

    kill_at("step 4/6", "train_german_model")
    uninterrupted, again = (tiny_recipe / "outputs" / name for name in ("uninterrupted", "train_german_model"))
    assert not again.exists()

    said = run_processes(1, "train_german_model")
    assert "checkpoint-3" in said and "step 4/6" in said and "step 3/6" not in said
    for name in ("model.safetensors", "loss.csv", "wer.csv"):
        assert (again / name).read_bytes() == (uninterrupted / name).read_bytes()
    assert not list(tiny_recipe.glob("runs/**/checkpoint-*"))  # the model is delivered; its checkpoints are not needed


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
