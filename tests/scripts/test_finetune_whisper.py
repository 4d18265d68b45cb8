"""An adapter is trained, the model under it is not, and nothing that the adapter does not need is saved."""

import json


def test_only_the_adapter_is_trained_and_saved(tiny_recipe, run_script):
    from safetensors.numpy import load_file

    run_script("finetune_whisper", "--model_dir", "outputs/base_model", "--lora.target_modules", "q_proj,v_proj")
    folder = tiny_recipe / "outputs/finetune_whisper"
    weights = load_file(folder / "adapter_model.safetensors")
    assert weights and all("lora_" in name and ("q_proj" in name or "v_proj" in name) for name in weights)
    assert any(weight.any() for name, weight in weights.items() if "lora_B" in name)  # B starts at zero: it has moved
    assert json.loads((folder / "adapter_config.json").read_text())["r"] == 16
    assert (folder / "loss.csv").read_text().count("\n") == 9 and (folder / "wer.csv").read_text().count("\n") == 3


def test_it_refuses_a_folder_that_is_no_model(tiny_recipe, run_script):
    done = run_script("finetune_whisper", "--model_dir", "outputs/extract_features", check=False)
    assert done.returncode != 0
    assert "error: outputs/extract_features: no config.json here" in done.stderr
    assert not (tiny_recipe / "outputs/finetune_whisper").exists()
