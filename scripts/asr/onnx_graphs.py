"""A Whisper's encoder and decoder as torch modules that read and give what the three ONNX graphs do (see `onnx_export.py`).

They share the model's weights and are written out here, since transformers' own forward holds caches and masks that are no
tensors. Keys and values are float32 `[batch, heads, tokens or positions, width / heads]`.
"""

import torch
from torch import Tensor, nn
from transformers import WhisperForConditionalGeneration
from transformers.models.whisper.modeling_whisper import WhisperAttention


class Encoder(nn.Module):
    def __init__(self, model: WhisperForConditionalGeneration):
        super().__init__()
        self.encoder = model.model.encoder

    def forward(self, input_features: Tensor) -> Tensor:
        encoder = self.encoder
        hidden = nn.functional.gelu(encoder.conv1(input_features))
        hidden = nn.functional.gelu(encoder.conv2(hidden)).transpose(1, 2)  # [batch, positions, width]
        hidden = hidden + encoder.embed_positions.weight
        for layer in encoder.layers:
            normal = layer.self_attn_layer_norm(hidden)
            key, value = _keys_and_values(layer.self_attn, normal)
            hidden = hidden + _attend(layer.self_attn, normal, key, value)
            hidden = hidden + _feed_forward(layer, hidden)
        return encoder.layer_norm(hidden)


class Decoder(nn.Module):
    def __init__(self, model: WhisperForConditionalGeneration):
        super().__init__()
        self.decoder, self.proj_out = model.model.decoder, model.proj_out

    def forward(self, input_ids: Tensor, encoder_hidden_states: Tensor) -> tuple[Tensor, ...]:
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)
        hidden = self.embed(input_ids, positions)
        later = positions[None, :] > positions[:, None]  # [tokens, tokens]
        present = []
        for layer in self.decoder.layers:
            normal = layer.self_attn_layer_norm(hidden)
            said = _keys_and_values(layer.self_attn, normal)
            hidden = hidden + _attend(layer.self_attn, normal, *said, later)
            heard = _keys_and_values(layer.encoder_attn, encoder_hidden_states)
            hidden = hidden + _attend(layer.encoder_attn, layer.encoder_attn_layer_norm(hidden), *heard)
            hidden = hidden + _feed_forward(layer, hidden)
            present += [*said, *heard]
        return self.logits(hidden), *present

    def embed(self, input_ids: Tensor, positions: Tensor) -> Tensor:
        places = nn.functional.embedding(positions, self.decoder.embed_positions.weight)
        return nn.functional.embedding(input_ids, self.decoder.embed_tokens.weight) + places

    def logits(self, hidden: Tensor) -> Tensor:
        # Of rows, torch makes a product with the transposed embedding (Gemm, transB), so that the file holds it once.
        rows = self.proj_out(self.decoder.layer_norm(hidden).flatten(0, 1))
        return rows.unflatten(0, hidden.shape[:2])


class DecoderWithPast(Decoder):
    def forward(self, input_ids: Tensor, past_key_values: list[Tensor]) -> tuple[Tensor, ...]:
        hidden = self.embed(input_ids, torch.arange(1, device=input_ids.device) + past_key_values[0].shape[2])
        present = []
        for index, layer in enumerate(self.decoder.layers):
            *before, heard_key, heard_value = past_key_values[4 * index : 4 * index + 4]
            normal = layer.self_attn_layer_norm(hidden)
            now = _keys_and_values(layer.self_attn, normal)
            said = [torch.cat(pair, dim=2) for pair in zip(before, now, strict=True)]
            hidden = hidden + _attend(layer.self_attn, normal, *said)
            normal = layer.encoder_attn_layer_norm(hidden)
            hidden = hidden + _attend(layer.encoder_attn, normal, heard_key, heard_value)
            hidden = hidden + _feed_forward(layer, hidden)
            present += said
        return self.logits(hidden), *present


def _keys_and_values(attention: WhisperAttention, states: Tensor) -> tuple[Tensor, Tensor]:
    return _heads(attention, attention.k_proj(states)), _heads(attention, attention.v_proj(states))


def _heads(attention: WhisperAttention, states: Tensor) -> Tensor:
    """[batch, tokens, width] -> [batch, heads, tokens, width / heads]"""
    return states.unflatten(2, (attention.num_heads, attention.head_dim)).transpose(1, 2)


def _attend(
    attention: WhisperAttention, states: Tensor, key: Tensor, value: Tensor, hidden_from: Tensor | None = None
) -> Tensor:
    query = _heads(attention, attention.q_proj(states) * attention.scaling)
    scores = query @ key.transpose(2, 3)  # [batch, heads, tokens, tokens or positions]
    if hidden_from is not None:
        scores = scores.masked_fill(hidden_from, -torch.inf)
    return attention.out_proj((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))


def _feed_forward(layer: nn.Module, hidden: Tensor) -> Tensor:
    return layer.fc2(layer.activation_fn(layer.fc1(layer.final_layer_norm(hidden))))
