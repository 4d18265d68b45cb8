"""A new Whisper: random by its seed, and its decoder starts with attention that works."""

import torch
from transformers.models.whisper.modeling_whisper import sinusoids

from asr.new_model import POSITION_SCALE, POSITIONS_A_TOKEN, new_whisper


def small(seed=0):
    return new_whisper(mels=80, width=32, heads=2, encoder_layers=2, decoder_layers=3, seed=seed)


def test_same_seed_same_weights_and_the_callers_random_numbers_are_untouched():
    model = small()
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    again = small()
    assert torch.rand(1) == expected
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    other = small(seed=1).state_dict()
    assert not torch.equal(model.state_dict()["model.encoder.conv1.weight"], other["model.encoder.conv1.weight"])


def test_a_new_decoder_attends_where_like_is_and_hands_it_on():
    """What its cross attention is given at one place it finds there, and returns a share of it."""
    attention = small().model.decoder.layers[0].encoder_attn
    places = torch.nn.functional.layer_norm(torch.randn(1, 50, 32, generator=torch.manual_seed(0)), (32,))
    handed_on, _ = attention(20 * places, key_value_states=places)
    likeness = torch.nn.functional.cosine_similarity(handed_on[0, :, None], places[0, None], dim=-1)  # [asked, there]
    assert torch.equal(likeness.argmax(-1), torch.arange(50)) and likeness.diag().mean() > 0.9


def test_encoder_positions_are_whispers_sinusoids():
    assert torch.equal(small().model.encoder.embed_positions.weight, sinusoids(1500, 32))


def test_a_decoders_position_looks_like_the_encoders_when_it_is_said():
    encoder, decoder = (part.embed_positions.weight for part in (small().model.encoder, small().model.decoder))
    assert decoder.shape == (448, 32) and decoder.unique(dim=0).shape[0] == 448
    torch.testing.assert_close(decoder[:100], POSITION_SCALE * encoder[0 : 100 * POSITIONS_A_TOKEN : POSITIONS_A_TOKEN])
