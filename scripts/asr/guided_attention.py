"""A third loss, for random weights: guided attention, which tells the decoder where in the audio a token is said.

Where an utterance lies in its window is known, and its words follow each other at about the same pace. So the decoder's
cross attention is asked to lie within `REACH_SECONDS` of that place: in the first layer where the token just read was
said, in the others where the next one is said. New weights then find the audio in every run, not in the lucky ones, and
learn to go on to the next sentence; within the reach the attention is free.

Source: the guided attention of speech synthesis, arXiv 1710.08969, with a band instead of a diagonal.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from transformers.models.whisper.modeling_whisper import WhisperAttention, WhisperDecoder

from asr.whisper_shape import TIMESTAMP_SECONDS as POSITION_SECONDS  # of the encoder

REACH_SECONDS = 0.4

Heard = list[tuple[WhisperAttention, torch.Tensor, torch.Tensor]]  # a layer, its queries' states, the encoder's states


@contextmanager
def recorded_cross_attention(decoder: WhisperDecoder) -> Iterator[Heard]:
    """A list that holds, after each forward, what every layer's cross attention was given."""
    heard: Heard = []

    def record(module, arguments, inputs):
        if module is decoder.layers[0].encoder_attn:
            heard.clear()
        heard.append((module, arguments[0], inputs["key_value_states"]))

    hooks = [layer.encoder_attn.register_forward_pre_hook(record, with_kwargs=True) for layer in decoder.layers]
    try:
        yield heard
    finally:
        for hook in hooks:
            hook.remove()


def guided_attention_loss(heard: Heard, label_seconds: torch.Tensor) -> torch.Tensor:
    """Negative log of the attention within reach, a mean over layers and heads, summed over the labels with a time.

    Args:
        heard: what `recorded_cross_attention` gave.
        label_seconds: [batch, tokens], about when each label is said; NaN where nobody says it.
    """
    read_seconds = nn.functional.pad(label_seconds[:, :-1], (1, 0), value=torch.nan)
    losses = []
    for layer, (attention, states, encoded) in enumerate(heard):
        seconds = read_seconds if layer == 0 and len(heard) > 1 else label_seconds
        timed = ~seconds.isnan()
        within = _log_attention_within(attention, states, encoded, seconds)  # [batch, heads, tokens]
        losses.append(-within.mean(1)[timed].sum())
    return torch.stack(losses).mean()


def _log_attention_within(attention, states, encoded, seconds) -> torch.Tensor:
    shape = (len(states), -1, attention.num_heads, attention.head_dim)
    queries = attention.q_proj(states).view(shape).transpose(1, 2) * attention.scaling
    keys = attention.k_proj(encoded).view(shape).transpose(1, 2)
    log_attention = (queries @ keys.transpose(2, 3)).float().log_softmax(-1)  # [batch, heads, tokens, positions]
    places = POSITION_SECONDS * torch.arange(keys.shape[2], device=keys.device)
    out_of_reach = ~((places - seconds[..., None]).abs() <= REACH_SECONDS)  # of a NaN, everything
    return log_attention.masked_fill(out_of_reach[:, None], -20.0).logsumexp(-1)
