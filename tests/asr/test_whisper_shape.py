"""The measures are those of openai-whisper and of its tokenizers."""

import pytest

from asr import whisper_shape
from asr.vocabulary import TIMESTAMPS


def test_measures_are_openai_whispers():
    audio = pytest.importorskip("whisper.audio", reason="openai-whisper is absent: nothing to compare with")
    assert (audio.SAMPLE_RATE, audio.N_FFT, audio.HOP_LENGTH) == (
        whisper_shape.SAMPLE_RATE,
        whisper_shape.FFT_SAMPLES,
        whisper_shape.HOP_SAMPLES,
    )
    assert (audio.N_FRAMES, audio.N_SAMPLES) == (whisper_shape.WINDOW_FRAMES, whisper_shape.WINDOW_SAMPLES)
    assert (audio.CHUNK_LENGTH, 1 / audio.FRAMES_PER_SECOND) == (
        whisper_shape.WINDOW_SECONDS,
        whisper_shape.FRAME_SECONDS,
    )
    assert 1 / audio.TOKENS_PER_SECOND == whisper_shape.TIMESTAMP_SECONDS


def test_the_grid_of_timestamps_ends_with_the_window():
    assert whisper_shape.MAX_TIMESTAMP * whisper_shape.TIMESTAMP_SECONDS == whisper_shape.WINDOW_SECONDS
    assert TIMESTAMPS[:: whisper_shape.MAX_TIMESTAMP] == ["<|0.00|>", "<|30.00|>"]


def test_text_leaves_the_decoder_room_for_control_tokens():
    control = 4  # <|startoftranscript|>, language, task, and <|notimestamps|> or none
    assert whisper_shape.MAX_TEXT_TOKENS + control <= whisper_shape.MAX_TOKENS


def test_languages_are_openai_whispers_in_the_order_of_their_ids():
    tokenizer = pytest.importorskip("whisper.tokenizer", reason="openai-whisper is absent: nothing to compare with")
    assert tuple(tokenizer.LANGUAGES) == whisper_shape.LANGUAGES
