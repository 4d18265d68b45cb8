"""New tokens stand above the timestamps, change nothing else, and are never said."""

import copy

import pytest
import torch
from transformers import WhisperFeatureExtractor

from asr.adapter import add_adapter, load_adapter, save_adapter
from asr.domain_tokens import add_domain_tokens, domains_of_tokens, new_tokens_of
from asr.errors import UserError

SIZE = 51865


@pytest.fixture
def grown(small_whisper, whisper_vocabulary):
    """A model and a tokenizer with two domains, and the model before."""
    tokenizer, before = copy.deepcopy(whisper_vocabulary), copy.deepcopy(small_whisper)
    ids = add_domain_tokens(small_whisper, tokenizer, ["dyslexic", "normal"])
    return small_whisper, tokenizer, before, ids


def test_they_come_last_and_leave_every_other_row_and_id(grown, whisper_vocabulary):
    model, tokenizer, before, ids = grown
    assert ids == {"dyslexic": SIZE, "normal": SIZE + 1} and len(tokenizer) == model.config.vocab_size == SIZE + 2
    rows, old = model.get_input_embeddings().weight, before.get_input_embeddings().weight
    assert torch.equal(rows[:SIZE], old) and model.proj_out.weight is rows
    name = tokenizer.encode(" dyslexic", add_special_tokens=False)
    assert torch.allclose(rows[SIZE], old[name].mean(0))
    assert {token: i for token, i in tokenizer.get_vocab().items() if i < SIZE} == whisper_vocabulary.get_vocab()
    # transformers takes the last special token for the one before <|0.00|>
    assert tokenizer.all_special_ids == whisper_vocabulary.all_special_ids
    assert add_domain_tokens(model, tokenizer, ["normal", "dyslexic"]) == ids and len(tokenizer) == SIZE + 2


def test_they_are_never_generated_not_even_as_timestamps(grown):
    model, _, _, ids = grown
    with torch.no_grad():  # such a row wins every comparison
        rows = model.get_input_embeddings().weight
        rows[SIZE:] = 50 * torch.sign(model.model.decoder.layer_norm.bias + 0.5)
        model.model.decoder.layer_norm.bias.add_(0.5)
    features = torch.zeros(1, 80, 200)
    for timestamps in (False, True):
        said = model.generate(features, language="de", max_new_tokens=6, return_timestamps=timestamps)
        assert not {*said[0].tolist()} & {*ids.values()}
    model.generation_config.suppress_tokens = None  # what it would say
    said = model.generate(features, language="de", max_new_tokens=6, return_timestamps=False)
    assert {*said[0].tolist()} & {*ids.values()}


def test_saved_and_loaded_they_are_there(grown, tmp_path):
    from asr.model import load_whisper, require_one_vocabulary, save_whisper

    model, tokenizer, _, ids = grown
    save_whisper(tmp_path, model, tokenizer, WhisperFeatureExtractor(80))
    loaded, read, _ = load_whisper(tmp_path)
    require_one_vocabulary(tmp_path, loaded, read)
    tokens = ["<|domain:dyslexic|>", "<|domain:normal|>"]
    assert new_tokens_of(tmp_path) == new_tokens_of(read) == tokens
    assert domains_of_tokens(tokens) == ["dyslexic", "normal"]
    assert {*ids.values()} <= {*loaded.generation_config.suppress_tokens}
    assert read.all_special_ids == tokenizer.all_special_ids
    times = [50364, 400, 50414]  # <|0.00|> … <|1.00|>
    assert read.decode(times, decode_with_timestamps=True) == tokenizer.decode(times, decode_with_timestamps=True)
    assert read.decode(times, decode_with_timestamps=True).endswith("<|1.00|>")


def test_whispers_own_vocabulary_has_none(whisper_vocabulary, tmp_path):
    assert new_tokens_of(whisper_vocabulary) == new_tokens_of(tmp_path) == []


def test_an_adapter_trains_and_saves_their_rows_alone(small_whisper, whisper_vocabulary, small_batch, tmp_path):
    base, tokenizer = copy.deepcopy(small_whisper), copy.deepcopy(whisper_vocabulary)
    small_whisper.config.save_pretrained(tmp_path / "base")
    small_whisper.name_or_path = str(tmp_path / "base")  # as one that was loaded from there
    ids = add_domain_tokens(small_whisper, tokenizer, ["dyslexic", "normal"])
    values = {"rank": 2, "alpha": 2, "dropout": 0.0, "target_modules": ["q_proj"], "seed": 0}
    adapted = add_adapter(small_whisper, "lora", **values, token_rows=[*ids.values()])
    small_batch["decoder_input_ids"][:, 0] = SIZE
    adapted(**small_batch).loss.backward()
    rows = next(weight for name, weight in adapted.named_parameters() if "trainable_tokens" in name)
    assert rows.shape == (2, 16) and rows.grad.any()
    with torch.no_grad():
        rows.fill_(0.25)
    save_adapter(adapted, tmp_path)
    assert (tmp_path / "adapter_model.safetensors").stat().st_size < SIZE * 16  # not the whole embedding

    add_domain_tokens(base, copy.deepcopy(whisper_vocabulary), ids)
    merged = load_adapter(base, tmp_path).merge_and_unload()
    assert (merged.get_input_embeddings().weight[SIZE:] == 0.25).all()
    assert merged.proj_out.weight is merged.get_input_embeddings().weight


def test_a_name_that_is_no_token(small_whisper, whisper_vocabulary):
    with pytest.raises(UserError, match=r"domain 'a\|>b': a token's name has letters"):
        add_domain_tokens(small_whisper, copy.deepcopy(whisper_vocabulary), ["a|>b"])
