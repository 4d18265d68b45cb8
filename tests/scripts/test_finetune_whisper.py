"""An adapter is trained, the model under it is not, and nothing that the adapter does not need is saved."""

import json
import signal

import pytest

from asr.checkpoints import is_whole, step_of
from asr.params_file import read_params

MODEL = ["--model_dir", "outputs/base_model"]


def losses(folder):
    return [float(line.split(",")[1]) for line in (folder / "loss.csv").read_text().splitlines()[1:]]


def test_only_the_adapter_is_trained_and_saved(tiny_recipe, run_script):
    from safetensors.numpy import load_file

    run_script("finetune_whisper", *MODEL, "--adapter.target_modules", "q_proj,v_proj", "--adapter.token_rows", "false")
    folder = tiny_recipe / "outputs/finetune_whisper"
    weights = load_file(folder / "adapter_model.safetensors")
    assert weights and all("lora_" in name and ("q_proj" in name or "v_proj" in name) for name in weights)
    assert any(weight.any() for name, weight in weights.items() if "lora_B" in name)  # B starts at zero: it has moved
    rank = read_params(tiny_recipe / "params.yaml").finetune_whisper.adapter.rank
    assert json.loads((folder / "adapter_config.json").read_text())["r"] == rank
    assert (folder / "loss.csv").read_text().count("\n") == 7 and (folder / "wer.csv").read_text().count("\n") == 3


EVERYTHING_DRAWN = [
    *("--windows.no_speech_share", "0.2", "--windows.previous_share", "0.5", "--windows.packed_share", "0.5"),
    *("--windows.one_speaker_share", "0.5", "--windows.cut_off_share", "0.5", "--windows.step_seconds", "120"),
    *("--windows.full_batch", "4", "--windows.packed_batch", "4", "--augment.mask_share", "0.5"),
    *("--domain.mode", "prompt", "--domain.texts", '{"general": "Zu Hause."}', "--words.share", "0.5"),
    *("--words.listed", '["Licht", "Wecker", "Torf"]'),
]


def test_one_device_and_two_are_one_experiment(tiny_recipe, run_script, run_processes):
    run_script("finetune_whisper", *MODEL, *EVERYTHING_DRAWN, "--output_dir", "outputs/one")
    run_processes(2, "finetune_whisper", *MODEL, *EVERYTHING_DRAWN, "--output_dir", "outputs/two")
    assert losses(tiny_recipe / "outputs/two") == pytest.approx(losses(tiny_recipe / "outputs/one"), rel=1e-4)


def test_told_to_stop_it_saves_and_run_again_it_writes_the_same_bytes(tiny_recipe, run_processes, signal_at):
    run_processes(
        1, "finetune_whisper", *MODEL, "--output_dir", "outputs/uninterrupted"
    )  # bit for bit: in a process alike
    flags = ["--loader_workers", "1"]  # the signal reaches the worker too; the last step needs it
    assert signal_at(signal.SIGTERM, "step 1/6", "finetune_whisper", *MODEL, *flags) == 143
    (checkpoint,) = tiny_recipe.glob("runs/finetune_whisper/*/checkpoint-*")
    step = step_of(checkpoint)
    assert 1 <= step < 6 and is_whole(checkpoint)
    assert f"resuming from step {step}: {checkpoint.relative_to(tiny_recipe)}\n" in run_processes(
        1, "finetune_whisper", *MODEL
    )
    uninterrupted, again = (tiny_recipe / "outputs" / name for name in ("uninterrupted", "finetune_whisper"))
    for name in ("adapter_model.safetensors", "adapter_config.json", "loss.csv", "wer.csv"):
        assert (again / name).read_bytes() == (uninterrupted / name).read_bytes()


def test_it_refuses_a_folder_that_is_no_model(tiny_recipe, run_script):
    done = run_script("finetune_whisper", "--model_dir", "outputs/extract_features", check=False)
    assert done.returncode == 1
    assert "error: outputs/extract_features: no config.json here" in done.stderr
    assert not (tiny_recipe / "outputs/finetune_whisper").exists()
