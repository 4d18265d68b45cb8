"""A new Whisper: random weights, with a head start that random weights alone would take hundreds of steps to find.

    model = new_whisper(mels=80, width=128, heads=4, encoder_layers=2, decoder_layers=3, seed=0)

The head start is mimetic initialisation (arXiv 2305.09828) in the decoder: queries and keys start alike, so that like
attends to like; values and outputs start as each other's transpose, so that what is attended to is handed on as it is;
and a token's position starts as the encoder's code for when it is said at the pace of speech. Then training does with
the weights what it does with others.
"""

import torch
from torch import nn
from transformers import WhisperConfig, WhisperForConditionalGeneration
from transformers.models.whisper.modeling_whisper import WhisperAttention, sinusoids

from asr.vocabulary import generation_config, whisper_tokenizer
from asr.whisper_shape import MAX_TOKENS, VOCABULARY_SIZES, WINDOW_FRAMES

ALIKE = 0.7  # scale of queries and keys
HANDED_ON = 0.2  # share of what is attended to that reaches the decoder's states
POSITIONS_A_TOKEN = 10  # of the encoder, 0.02 s each: five tokens a second
POSITION_SCALE = 0.05  # of the decoder's positions; its tokens start with 0.02


def new_whisper(
    mels: int, width: int, heads: int, encoder_layers: int, decoder_layers: int, seed: int
) -> WhisperForConditionalGeneration:
    """A multilingual Whisper with random weights that depend on `seed` alone, float32, on the CPU.

    It has Whisper's 1,500 encoder and 448 decoder positions whatever its size: the engines that run it expect them.
    """
    generation = generation_config(whisper_tokenizer(mels), decoder_layers, heads)
    config = WhisperConfig(
        vocab_size=VOCABULARY_SIZES[mels],
        num_mel_bins=mels,
        d_model=width,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_layers=encoder_layers,
        decoder_layers=decoder_layers,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
        max_source_positions=WINDOW_FRAMES // 2,
        max_target_positions=MAX_TOKENS,
        pad_token_id=generation.pad_token_id,
        bos_token_id=generation.bos_token_id,
        eos_token_id=generation.eos_token_id,
        decoder_start_token_id=generation.decoder_start_token_id,
        suppress_tokens=generation.suppress_tokens,  # read here by tools older than generation_config.json
        begin_suppress_tokens=generation.begin_suppress_tokens,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = WhisperForConditionalGeneration(config)
        _give_head_start(model)
    model.generation_config = generation
    return model


@torch.no_grad()
def _give_head_start(model: WhisperForConditionalGeneration) -> None:
    decoder = model.model.decoder
    for layer in decoder.layers:
        _mimic(layer.self_attn)
        _mimic(layer.encoder_attn)
    said = sinusoids(POSITIONS_A_TOKEN * MAX_TOKENS, model.config.d_model)[::POSITIONS_A_TOKEN]
    decoder.embed_positions.weight.copy_(POSITION_SCALE * said)


def _mimic(attention: WhisperAttention) -> None:
    width = attention.embed_dim
    alike, handed_on = (nn.init.orthogonal_(torch.empty(width, width)) for _ in range(2))
    attention.q_proj.weight.copy_(ALIKE * alike)
    attention.k_proj.weight.copy_(ALIKE * alike)
    attention.v_proj.weight.copy_(handed_on)
    attention.out_proj.weight.copy_(HANDED_ON * handed_on.T)
