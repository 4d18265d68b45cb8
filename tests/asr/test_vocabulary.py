"""openai-whisper's own tokenizer is the oracle."""

import pytest
from whisper.tokenizer import get_tokenizer

from asr.vocabulary import TIMESTAMPS, non_speech_tokens, whisper_tokenizer

TEXTS = [
    "Grüß Gott! Schalte das Licht im Wohnzimmer um 18:45 Uhr auf 30 % ein.",
    "Fußgängerübergänge, Ölförderung und ÄÖÜäöüß",
    "Съешь ещё этих мягких французских булок, да выпей же чаю.",
    "다람쥐 헌 쳇바퀴에 타고파",
    "我能吞下玻璃而不伤身体。",
    "🎉 🏳️‍🌈 naïve café ½ €",
    "3.14159 1,000,000 0049-30-123456",
    "  two  spaces\n\tand a tab  ",
    "I'm we'll they'd it's 'quoted' -- [noise] (laughs) ♪♪",
    "a",
    "",
]


@pytest.fixture(scope="module", params=[(80, 99), (128, 100)], ids=["80 mels", "128 mels"])
def pair(request):
    mels, languages = request.param
    return whisper_tokenizer(mels), get_tokenizer(multilingual=True, num_languages=languages)


def test_every_special_token_has_openais_id(pair):
    tokenizer, oracle = pair
    assert len(tokenizer) == oracle.encoding.n_vocab
    for token, index in oracle.special_tokens.items():
        assert tokenizer.convert_tokens_to_ids(token) == index, token


def test_texts_are_encoded_as_openai_does_and_come_back(pair):
    tokenizer, oracle = pair
    for text in TEXTS:
        ids = tokenizer.encode(text, add_special_tokens=False)
        assert ids == oracle.encode(text), text
        assert tokenizer.decode(ids) == text


def test_every_token_of_the_vocabulary_means_the_same_bytes(pair):
    tokenizer, oracle = pair
    decoder = tokenizer.backend_tokenizer
    for index in range(0, 50256, 7):
        ours = decoder.decode([index])
        assert ours == oracle.decode([index]), index


def test_suppressed_signs_are_openais(pair):
    tokenizer, oracle = pair
    assert tuple(non_speech_tokens(tokenizer)) == oracle.non_speech_tokens


def test_timestamps_are_decoded_as_times(pair):
    tokenizer, _ = pair
    ids = tokenizer.encode(
        "<|startoftranscript|><|de|><|transcribe|><|0.00|> Guten Tag.<|1.98|>", add_special_tokens=False
    )
    assert len(ids) == 3 + 2 + len(tokenizer.encode(" Guten Tag.", add_special_tokens=False))
    assert tokenizer.decode(ids, decode_with_timestamps=True).endswith("<|0.00|> Guten Tag.<|1.98|>")
    assert tokenizer.decode(ids, skip_special_tokens=True) == " Guten Tag."


def test_timestamps_are_the_last_tokens(pair):
    tokenizer, _ = pair
    first = len(tokenizer) - len(TIMESTAMPS)
    assert tokenizer.convert_ids_to_tokens([first, len(tokenizer) - 1]) == ["<|0.00|>", "<|30.00|>"]
    assert tokenizer.all_special_ids[-1] + 1 == first
