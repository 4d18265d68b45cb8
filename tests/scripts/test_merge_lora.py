"""Law: merged = base + adapter, to a tolerance, or there is no merged model."""

import pytest
import torch


@pytest.fixture
def adapter(tiny_recipe):
    """An adapter with an effect, as finetune_whisper would save it."""
    from asr.adapter import add_adapter
    from asr.model import load_whisper

    model, *_ = load_whisper(tiny_recipe / "outputs/base_model")
    adapted = add_adapter(
        model,
        "lora",
        rank=4,
        alpha=8.0,
        dropout=0.0,
        target_modules=["q_proj", "v_proj", "fc1"],
        token_rows=[400, 401],
        seed=0,
    )
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.5, generator=torch.Generator().manual_seed(len(name)))
    adapted.save_pretrained(tiny_recipe / "outputs/finetune_whisper")
    return tiny_recipe / "outputs/finetune_whisper"


def test_merged_is_base_and_adapter(tiny_recipe, adapter, run_script):
    from asr.adapter import load_adapter
    from asr.model import load_whisper

    (adapter / "loss.csv").write_text("step,loss\n1,2.5\n")
    done = run_script("merge_lora", "--model_dir", "outputs/base_model")
    assert "largest difference of a logit" in done.stdout
    merged, tokenizer, feature_extractor = load_whisper(tiny_recipe / "outputs/merge_lora")
    base, base_tokenizer, _ = load_whisper(tiny_recipe / "outputs/base_model")
    inputs = {"input_features": torch.randn(1, 80, 3000), "decoder_input_ids": torch.tensor([[50258, 50261, 50359]])}
    with torch.no_grad():
        plain = base(**inputs).logits
        adapted = load_adapter(base, adapter).eval()(**inputs).logits
        assert torch.allclose(merged(**inputs).logits, adapted, atol=1e-4)
    assert not torch.allclose(plain, adapted, atol=1e-2)
    assert tokenizer.get_vocab() == base_tokenizer.get_vocab()
    assert feature_extractor.feature_size == 80
    older = {
        "added_tokens.json",
        "merges.txt",
        "normalizer.json",
        "preprocessor_config.json",
        "special_tokens_map.json",
    }
    folders = [tiny_recipe / "outputs" / name for name in ("merge_lora", "base_model")]
    merged_files, base_files = ({file.name for file in folder.iterdir()} for folder in folders)
    assert (tiny_recipe / "outputs/merge_lora/loss.csv").read_text() == "step,loss\n1,2.5\n"
    assert (
        merged_files - {"loss.csv"}
        == base_files
        >= older | {"generation_config.json", "model.safetensors", "vocab.json"}
    )


def test_a_merge_that_is_not_equal_fails_and_leaves_nothing(tiny_recipe, adapter, run_script):
    done = run_script("merge_lora", "--model_dir", "outputs/base_model", "--tolerance", "1e-12", check=False)
    assert done.returncode == 1
    assert "more than tolerance: 1.0e-12" in done.stderr
    assert not (tiny_recipe / "outputs/merge_lora").exists()


def test_a_missing_adapter_is_named(run_script):
    done = run_script("merge_lora", "--model_dir", "outputs/base_model", check=False)
    assert done.returncode == 1
    assert "error: outputs/finetune_whisper: no adapter_config.json" in done.stderr


def test_domains_come_with_the_adapter_and_the_model_says_so_and_is_not_converted(tiny_recipe, run_script):
    import json

    import convert_to_faster
    from asr.errors import UserError
    from asr.exportable import require_own_vocabulary
    from asr.model import load_whisper

    flags = ["--domain.mode", "token", "--steps", "3", "--adapter.target_modules", "q_proj"]
    run_script("finetune_whisper", "--model_dir", "outputs/base_model", *flags)
    run_script("merge_lora", "--base_model=outputs/base_model")
    folder = tiny_recipe / "outputs/merge_lora"
    tokens = ["<|domain:domain|>", "<|domain:general|>"]
    assert json.loads((folder / "lineage.json").read_text())["new_tokens"] == tokens
    merged, tokenizer, _ = load_whisper(folder)
    assert merged.config.vocab_size == len(tokenizer) == 51867
    assert tokenizer.convert_tokens_to_ids(tokens) == [51865, 51866]
    with pytest.raises(UserError, match=r"<\|domain:general\|> are new; .*train with domain\.mode: prompt"):
        require_own_vocabulary(folder, convert_to_faster.MISREAD)


def test_an_adapter_is_not_merged_into_another_model(tiny_recipe, adapter, run_script):
    from asr.base import describe_base, write_base
    from asr.model import load_without_weights

    base = tiny_recipe / "outputs/base_model"
    write_base(adapter, describe_base(base, load_without_weights(base)[0], []) | {"weights": "another"})
    done = run_script("merge_lora", "--model_dir", "outputs/base_model", check=False)
    assert done.returncode == 1 and "an adapter for another base: weights another, but" in done.stderr
    assert not (tiny_recipe / "outputs/merge_lora").exists()
