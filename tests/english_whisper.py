"""A small Whisper that knows English alone, in the form of openai/whisper-tiny.en: another vocabulary, no languages."""

from functools import cache
from importlib.resources import files

import numpy as np
import soxr
import torch
from transformers import GenerationConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperTokenizer
from transformers.convert_slow_tokenizer import TikTokenConverter
from whisper.tokenizer import get_tokenizer

from asr.espeak import Espeak
from asr.new_model import new_whisper
from asr.vocabulary import TIMESTAMPS, add_timestamps, non_speech_tokens

SENTENCES = ["Turn on the light in the kitchen.", "What time is it?", "Open the door!", "Don't stir it yet."]
END, START, NO_TIMESTAMPS, FIRST_TIMESTAMP, SIZE = 50256, 50257, 50362, 50363, 51864


@cache
def english_tokenizer() -> WhisperTokenizer:
    """Of the tokens and the ids that openai-whisper gives its English models."""
    ranks = files("whisper") / "assets/gpt2.tiktoken"
    vocabulary, merges = TikTokenConverter().extract_vocab_merges_from_model(str(ranks))
    control = get_tokenizer(multilingual=False).special_tokens
    tokenizer = WhisperTokenizer(
        vocab=vocabulary | {"<|endoftext|>": END},
        merges=merges,
        pad_token="<|endoftext|>",
        extra_special_tokens=sorted(control.keys() - {"<|endoftext|>", *TIMESTAMPS}, key=control.__getitem__),
        model_max_length=1024,
    )
    add_timestamps(tokenizer)
    return tokenizer


def english_clips() -> list[np.ndarray]:
    """`SENTENCES`, spoken: float32 `[samples]` each at 16 kHz."""
    espeak = Espeak()
    spoken = [espeak.speak(text, "en", 130, 50).astype(np.float32) / 32768 for text in SENTENCES]
    return [soxr.resample(sound, 22_050, 16_000) for sound in spoken]


def english_whisper(decoder_layers: int = 1) -> WhisperForConditionalGeneration:
    """Random weights, configured as openai/whisper-tiny.en is."""
    model = new_whisper(mels=80, width=64, heads=2, encoder_layers=2, decoder_layers=decoder_layers, seed=0)
    model.resize_token_embeddings(SIZE, mean_resizing=False)
    never = [*non_speech_tokens(english_tokenizer()), START, *range(50357, NO_TIMESTAMPS)]
    both = {"bos_token_id": START, "eos_token_id": END, "pad_token_id": END, "decoder_start_token_id": START}
    both |= {"suppress_tokens": never, "begin_suppress_tokens": [220, END]}
    for name, value in both.items():
        setattr(model.config, name, value)
    model.generation_config = GenerationConfig(
        **both,
        alignment_heads=[[0, 0], [0, 1]],
        forced_decoder_ids=[[1, NO_TIMESTAMPS]],
        is_multilingual=False,
        max_initial_timestamp_index=50,
        max_length=448,
        no_timestamps_token_id=NO_TIMESTAMPS,
        prev_sot_token_id=50360,
        return_timestamps=False,
    )
    return model


def teach_english(model: WhisperForConditionalGeneration, clips: list[np.ndarray]) -> None:
    """Teach it which of `SENTENCES` belongs to which clip, without timestamps and with."""
    torch.manual_seed(0)
    features = WhisperFeatureExtractor()(clips, sampling_rate=16_000, return_tensors="pt").input_features
    with torch.no_grad():
        for convolution in (model.model.encoder.conv1, model.model.encoder.conv2):
            convolution.weight.mul_(8)  # the sound beside the positions
        heard = model.model.encoder(features).last_hidden_state.repeat_interleave(2, 0)
    rows = []
    for text in SENTENCES:
        said = english_tokenizer().encode(" " + text, add_special_tokens=False)
        rows.append([START, NO_TIMESTAMPS, *said, END])
        rows.append([START, FIRST_TIMESTAMP, *said, FIRST_TIMESTAMP + 50, END])
    tokens = torch.tensor([row + [END] * (max(map(len, rows)) - len(row)) for row in rows])
    labels = tokens[:, 1:].clone()
    labels[::2, 0] = -100  # <|notimestamps|> is given
    optimiser = torch.optim.AdamW(model.model.decoder.parameters(), lr=5e-3)
    for _ in range(70):
        logits = model(encoder_outputs=(heard,), decoder_input_ids=tokens[:, :-1]).logits
        torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels).backward()
        optimiser.step()
        optimiser.zero_grad()
