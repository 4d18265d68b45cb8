"""An adapter is trained, the model under it is not, and nothing that the adapter does not need is saved."""

import json
import signal

import pytest

from asr.checkpoints import is_whole, step_of
from asr.params_file import read_params

MODEL = ["--model_dir", "outputs/base_model"]
ADALORA = ["--adapter.method", "adalora", "--adapter.rank", "8", "--adapter.adalora.target_rank", "3"]
ADALORA += ["--best_by", "cer"]


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


@pytest.mark.slow
@pytest.mark.parametrize("method", [EVERYTHING_DRAWN, ADALORA])
def test_one_device_and_two_are_one_experiment(tiny_recipe, run_script, run_processes, method):
    one = run_script("finetune_whisper", *MODEL, *method, "--output_dir", "outputs/one").stdout
    two = run_processes(2, "finetune_whisper", *MODEL, *method, "--output_dir", "outputs/two")
    assert losses(tiny_recipe / "outputs/two") == pytest.approx(losses(tiny_recipe / "outputs/one"), rel=1e-4)
    left = [[line for line in said.splitlines() if line.startswith("AdaLoRA kept")] for said in (one, two)]
    assert left[0] == left[1] and len(left[0]) == (1 if method is ADALORA else 0)
    assert not any("kept 128 of 128" in line for line in left[0])  # so many it starts with


def test_adalora_interrupted_and_run_again_writes_the_same_bytes(tiny_recipe, run_script, interrupt_at):
    flags = [*MODEL, *ADALORA]
    run_script("finetune_whisper", *flags, "--output_dir", "outputs/uninterrupted")
    interrupt_at(5, "finetune_whisper", *flags)
    assert "checkpoint-3" in run_script("finetune_whisper", *flags).stdout
    one, other = (tiny_recipe / "outputs" / name for name in ("uninterrupted", "finetune_whisper"))
    for name in ("adapter_model.safetensors", "adapter_config.json", "loss.csv", "wer.csv"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_the_last_blocks_and_the_domains_tokens_are_delivered_alone(tiny_recipe, run_script):
    from safetensors.numpy import load_file

    flags = ["--adapter.method", "layers", "--adapter.encoder_blocks", "0", "--adapter.decoder_blocks", "1"]
    run_script("finetune_whisper", *MODEL, *flags, "--adapter.token_rows", "false", "--domain.mode", "token")
    folder = tiny_recipe / "outputs/finetune_whisper"
    weights = load_file(folder / "layers.safetensors")
    assert weights.pop("rows").shape == (2, 16) and weights.pop("row_ids").tolist() == [51865, 51866]
    assert weights and all(name.startswith("model.decoder.layers.0.") for name in weights)
    assert json.loads((folder / "base.json").read_text())["new_tokens"] == ["<|domain:domain|>", "<|domain:general|>"]
    assert not (folder / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--adapter.method", "layers", "--adapter.token_rows", "false"], "give encoder_blocks and decoder_blocks as numbers"),
        (["--use_adalora=True", "--adapter.rank", "8"], "adalora.target_rank: 8 must be less than rank: 8"),
        (["--use_adalora=True", "--ema_decay", "0.9"], "an average keeps what AdaLoRA takes away"),
        (["--adapter.encoder_blocks", "5"], "encoder_blocks: 5: the model has 1"),
    ],
)  # fmt: skip
def test_contradictions_are_named_before_the_first_step(tiny_recipe, run_script, flags, told):
    done = run_script("finetune_whisper", *MODEL, *flags, check=False)
    assert done.returncode == 1 and told in done.stderr
    assert not (tiny_recipe / "outputs/finetune_whisper").exists()


def test_a_base_with_another_vocabulary_than_its_tokenizer(tiny_recipe, run_script):
    from transformers import WhisperFeatureExtractor

    from asr.model import save_whisper
    from asr.new_model import new_whisper
    from asr.vocabulary import whisper_tokenizer

    model = new_whisper(mels=80, width=16, heads=2, encoder_layers=1, decoder_layers=1, seed=0)
    model.resize_token_embeddings(51870, mean_resizing=False)
    save_whisper(tiny_recipe / "outputs/other", model, whisper_tokenizer(80), WhisperFeatureExtractor(80))
    done = run_script("finetune_whisper", "--model_dir", "outputs/other", check=False)
    assert (
        "outputs/other: the model has 51870 tokens, its tokenizer 51865; take both from the same model" in done.stderr
    )


# A machine taken back; a terminal closed.
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)])
def test_told_to_stop_it_saves_and_run_again_it_writes_the_same_bytes(tiny_recipe, run_processes, signal_at, number):
    run_processes(
        1, "finetune_whisper", *MODEL, "--output_dir", "outputs/uninterrupted"
    )  # bit for bit: in a process alike
    flags = ["--loader_workers", "1"]  # the signal reaches the worker too; the last step needs it
    assert signal_at(number, "step 1/6", "finetune_whisper", *MODEL, *flags) == 128 + number
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
