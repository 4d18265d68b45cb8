"""An adapter is trained, the model under it is not, and nothing that the adapter does not need is saved."""

import json

import pytest

from asr.params_file import read_params


def test_only_the_adapter_is_trained_and_saved(tiny_recipe, run_script):
    from safetensors.numpy import load_file

    flags = [
        "--model_dir",
        "outputs/base_model",
        "--lora.target_modules",
        "q_proj,v_proj",
        "--lora.token_rows",
        "false",
    ]
    run_script("finetune_whisper", *flags)
    folder = tiny_recipe / "outputs/finetune_whisper"
    weights = load_file(folder / "adapter_model.safetensors")
    assert weights and all("lora_" in name and ("q_proj" in name or "v_proj" in name) for name in weights)
    assert any(weight.any() for name, weight in weights.items() if "lora_B" in name)  # B starts at zero: it has moved
    rank = read_params(tiny_recipe / "params.yaml").finetune_whisper.lora.rank
    assert json.loads((folder / "adapter_config.json").read_text())["r"] == rank
    assert (folder / "loss.csv").read_text().count("\n") == 9 and (folder / "wer.csv").read_text().count("\n") == 3


def test_one_device_and_two_are_one_experiment_and_the_same_run_writes_the_same_bytes(tiny_recipe, run_script):
    flags = ["--model_dir", "outputs/base_model", "--output_dir"]
    for name, processes in (("one", 1), ("again", 1), ("two", 2)):
        run_script("finetune_whisper", *flags, f"outputs/{name}", processes=processes)
    one, again, two = (tiny_recipe / "outputs" / name for name in ("one", "again", "two"))
    for file in ("adapter_model.safetensors", "adapter_config.json", "loss.csv"):
        assert (one / file).read_bytes() == (again / file).read_bytes()
    losses = [
        [float(line.split(",")[1]) for line in (folder / "loss.csv").read_text().splitlines()[1:]]
        for folder in (one, two)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_a_killed_adapter_training_goes_on_from_its_checkpoint(tiny_recipe, run_script, kill_at):
    flags = ["--model_dir", "outputs/base_model"]
    run_script("finetune_whisper", *flags, "--output_dir", "outputs/uninterrupted", LOG_DIR=str(tiny_recipe / "other"))
    kill_at("step 6/8", "finetune_whisper", *flags)
    assert "checkpoint-4" in run_script("finetune_whisper", *flags).stdout
    weights = [
        tiny_recipe / "outputs" / name / "adapter_model.safetensors" for name in ("uninterrupted", "finetune_whisper")
    ]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_it_refuses_a_folder_that_is_no_model(tiny_recipe, run_script):
    done = run_script("finetune_whisper", "--model_dir", "outputs/extract_features", check=False)
    assert done.returncode != 0
    assert "error: outputs/extract_features: no config.json here" in done.stderr
    assert not (tiny_recipe / "outputs/finetune_whisper").exists()
