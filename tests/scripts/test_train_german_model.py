"""Training as DVC starts it: the same experiment on any number of devices, and none lost to a kill."""

import csv

import pytest


def losses(recipe, folder="train_german_model"):
    with (recipe / "outputs" / folder / "loss.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def test_one_device_two_devices_and_accumulation_are_one_experiment(tiny_recipe, run_script):
    run_script("train_german_model", "--output_dir", "outputs/one")
    run_script("train_german_model", "--output_dir", "outputs/two", processes=2)
    run_script("train_german_model", "--output_dir", "outputs/accumulated", "--device_batch", "2")
    one = losses(tiny_recipe, "one")
    assert len(one) == 8
    assert losses(tiny_recipe, "two") == pytest.approx(one, rel=1e-4)
    assert losses(tiny_recipe, "accumulated") == pytest.approx(one, rel=1e-4)


def test_killed_and_run_again_it_ends_with_the_same_weights(tiny_recipe, run_script, kill_at):
    run_script("train_german_model", "--output_dir", "outputs/uninterrupted", LOG_DIR=str(tiny_recipe / "other"))

    kill_at("step 6/8", "train_german_model")
    assert not (tiny_recipe / "outputs/train_german_model").exists()

    again = run_script("train_german_model")
    assert "checkpoint-4" in again.stdout and "step 5/8" in again.stdout and "step 4/8" not in again.stdout
    weights = [tiny_recipe / "outputs" / name / "model.safetensors" for name in ("uninterrupted", "train_german_model")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert losses(tiny_recipe) == losses(tiny_recipe, "uninterrupted")
    assert not list(tiny_recipe.glob("runs/**/checkpoint-*"))  # the model is delivered; its checkpoints are not needed


def test_a_batch_that_cannot_be_dealt_out_is_refused_before_training(tiny_recipe, run_script):
    done = run_script("train_german_model", "--global_batch", "7", processes=2, check=False)
    assert done.returncode != 0
    assert "global_batch: 7 and windows.full_batch: 4 cannot be dealt out evenly to 2 device(s)" in done.stderr
    assert done.stderr.count("error: ") == 1
    assert not (tiny_recipe / "outputs/train_german_model").exists()


def test_an_unknown_source_names_those_there_are(tiny_recipe, run_script):
    done = run_script("train_german_model", "--sources", '{"generall": 1}', check=False)
    assert done.returncode != 0
    assert "no utterance of source 'generall'; there are domain, general, noise" in done.stderr
