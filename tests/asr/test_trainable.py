"""What is not trained stays as it is, bit for bit, and gets no gradient."""

import copy

import pytest
import torch

from asr.errors import UserError
from asr.optimizer import set_rates
from asr.trainable import train_part, trained_weights


def gradients(model, batch):
    model.zero_grad()
    model.train()
    model(**batch).loss.backward()
    return {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


def train(model, batch, rates=None):
    optimizer = torch.optim.AdamW(trained_weights(model).values(), lr=0.1, weight_decay=0.1)
    set_rates(optimizer, model, rates or {})
    for _ in range(3):
        gradients(model, batch)
        optimizer.step()


def moved(before, after):
    others = dict(after.named_parameters())
    return {name for name, weight in before.named_parameters() if not torch.equal(weight, others[name])}


def test_all_is_what_a_new_model_trains(small_whisper):
    before = set(trained_weights(small_whisper))
    train_part(small_whisper, "all")
    assert set(trained_weights(small_whisper)) == before


def test_a_frozen_encoder_is_not_in_the_backward_pass_and_does_not_move(small_whisper, small_batch):
    before = copy.deepcopy(small_whisper)
    train_part(small_whisper, "encoder_frozen")
    encoded = small_whisper.model.encoder(small_batch["input_features"].requires_grad_()).last_hidden_state
    assert not encoded.requires_grad  # under no_grad: not even a way back to the input is kept
    train(small_whisper, small_batch)
    assert moved(before, small_whisper) == {
        name for name, _ in before.named_parameters() if ".decoder." in name and name != "proj_out.weight"
    }


def test_the_last_blocks_are_the_encoders_whole_and_the_decoders_attention_and_mlp(small_whisper, small_batch):
    before = copy.deepcopy(small_whisper)
    train_part(small_whisper, "last_blocks", encoder_blocks=1, decoder_blocks=1)
    train(small_whisper, small_batch)
    changed = moved(before, small_whisper)
    assert {name.rpartition("layers.")[0] for name in changed} == {"model.encoder.", "model.decoder."}
    assert {name.split(".")[3] for name in changed} == {"1"}
    assert {name.split(".")[4] for name in changed if ".encoder." in name} == {
        "self_attn", "self_attn_layer_norm", "fc1", "fc2", "final_layer_norm"
    }  # fmt: skip
    assert {name.split(".")[4] for name in changed if ".decoder." in name} == {
        "self_attn", "encoder_attn", "fc1", "fc2"
    }  # fmt: skip


@pytest.mark.parametrize("what", [{"what": "encoder_frozen"}, {"what": "last_blocks", "encoder_blocks": 1}])
def test_gradients_are_the_same_with_checkpointing(small_whisper, small_batch, what):
    train_part(small_whisper, **what)
    plain = gradients(small_whisper, small_batch)
    small_whisper.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    checkpointed = gradients(small_whisper, small_batch)
    assert plain.keys() == checkpointed.keys() == trained_weights(small_whisper).keys()
    assert all(torch.allclose(plain[name], checkpointed[name], atol=1e-7) for name in plain)


def test_of_the_embedding_only_the_rows_asked_for_move_though_there_is_weight_decay(small_whisper, small_batch):
    before = small_whisper.model.decoder.embed_tokens.weight.clone()
    train_part(small_whisper, "last_blocks", decoder_blocks=1, token_rows=[400, 7])
    train(small_whisper, small_batch)
    after = small_whisper.model.decoder.embed_tokens.weight
    assert (before != after).any(1).nonzero().flatten().tolist() == [7, 400]
    assert small_whisper.proj_out.weight is after


def test_more_blocks_than_there_are(small_whisper):
    with pytest.raises(UserError, match="encoder_blocks: 3: the model has 2; give at most as many"):
        train_part(small_whisper, "last_blocks", encoder_blocks=3)
