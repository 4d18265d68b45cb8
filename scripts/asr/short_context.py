"""A Whisper that takes windows shorter than 30 s, in training and in transformers' `generate`.

allow_short_context(model)          # input_features may then be [batch, mels, frames] of any even number up to 3,000
"""

from types import MethodType

import torch
from torch import nn
from transformers import WhisperForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.whisper.modeling_whisper import WhisperEncoder
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs


def allow_short_context(model: WhisperForConditionalGeneration) -> None:
    """Let `model` take, train and generate on any even number of frames up to 3,000; it is saved as a plain Whisper.

    A short clip then costs what it is long, not 30 s, and a model trained so may be run on short contexts. Full windows
    give the same result as ever.
    """
    # Bound to the instance, since transformers records hidden states by the name of the encoder's class.
    model.model.encoder.forward = MethodType(_short_context_forward, model.model.encoder)
    # `generate` pads what it gets to 30 s with zeros; a short batch shall stay as long as it came.
    model._get_input_segment = _input_segment


@merge_with_config_defaults
@capture_outputs
def _short_context_forward(self: WhisperEncoder, input_features: torch.Tensor, attention_mask=None, **kwargs):
    """`WhisperEncoder.forward` with the positions cut to the length: [batch, mels, frames] -> [batch, frames / 2, width]."""
    frames, most = input_features.shape[-1], 2 * self.max_source_positions
    if not 0 < frames <= most or frames % 2:
        raise ValueError(f"{frames} frames: the encoder takes an even number of at most {most}")
    hidden = nn.functional.gelu(self.conv1(input_features))
    hidden = nn.functional.gelu(self.conv2(hidden)).permute(0, 2, 1)  # [batch, frames / 2, width]
    hidden = hidden + self.embed_positions(torch.arange(hidden.shape[1], device=hidden.device))
    hidden = nn.functional.dropout(hidden, p=self.dropout, training=self.training)
    for layer in self.layers:
        if self.training and self.layerdrop > 0 and torch.rand([]) < self.layerdrop:
            continue
        hidden = layer(hidden, None, **kwargs)
    return BaseModelOutput(last_hidden_state=self.layer_norm(hidden))


def _input_segment(
    input_features, seek, seek_num_frames, num_segment_frames, cur_bsz, batch_idx_map
) -> torch.Tensor | None:
    if input_features is not None:
        num_segment_frames = min(num_segment_frames, input_features.shape[-1])
    return WhisperForConditionalGeneration._get_input_segment(
        input_features, seek, seek_num_frames, num_segment_frames, cur_bsz, batch_idx_map
    )
