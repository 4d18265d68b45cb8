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
