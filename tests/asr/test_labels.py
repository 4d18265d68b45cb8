"""Laws of what the decoder is taught, with openai-whisper's own tokenizer as the oracle."""

import pytest

from asr.labels import IGNORED, MAX_TOKENS, Labeler, Prompt
from asr.utterance import Segment
from asr.vocabulary import whisper_tokenizer

TEXTS = [
    "Schalte das Licht aus!",
    "Größe, Maß und Übel – „schön“.",
    "Привет, мир",
    "안녕하세요",
    "3,5 % für 10 €",
    "🙂 ja",
]


@pytest.fixture(scope="module")
def labeler():
    return Labeler(whisper_tokenizer(80))


@pytest.fixture(scope="module")
def oracle():
    from whisper.tokenizer import get_tokenizer

    return get_tokenizer(multilingual=True, language="de", task="transcribe")


def spoken(text, start=0.0, end=2.5):
    return [Segment(start, end, text)]


@pytest.mark.parametrize("text", TEXTS)
def test_the_sequence_is_openais(labeler, oracle, text):
    sequence = labeler.encode(spoken(text), "de", timestamps=False)
    expected = [*oracle.sot_sequence_including_notimestamps, *oracle.encode(" " + text), oracle.eot]
    assert sequence.decoder_input_ids == expected[:-1]
    assert sequence.labels == expected[1:]


@pytest.mark.parametrize("text", TEXTS)
def test_timestamps_are_openais(labeler, oracle, text):
    sequence = labeler.encode(spoken(text, 0.5, 2.5), "de", timestamps=True)
    begin = oracle.timestamp_begin
    expected = [*oracle.sot_sequence, begin + 25, *oracle.encode(" " + text), begin + 125, oracle.eot]
    assert [*sequence.decoder_input_ids, sequence.labels[-1]] == expected


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("timestamps", [False, True])
def test_decoding_gives_the_text_back(labeler, text, timestamps):
    assert labeler.decode(labeler.encode(spoken(text), "de", timestamps=timestamps).labels) == text


@pytest.mark.parametrize("language", ["de", "ru", "ko", "zh"])
def test_languages_are_openais_and_invertible(labeler, language):
    from whisper.tokenizer import get_tokenizer

    token = labeler.language(language)
    assert token == get_tokenizer(multilingual=True, language=language).language_token
    assert labeler.language_of(token) == language


def test_exactly_one_start_and_nothing_shifted(labeler):
    sequence = labeler.encode(spoken("eins"), "de", timestamps=True, prompt=Prompt(previous=("zwei drei",)))
    assert sequence.decoder_input_ids.count(labeler.start) == 1
    assert labeler.start not in sequence.labels
    for read, said in zip(sequence.decoder_input_ids[1:], sequence.labels, strict=False):
        assert said in (read, IGNORED)


def test_the_prompt_is_read_and_not_taught(labeler):
    bare = labeler.encode(spoken("eins"), "de", timestamps=False)
    prompted = labeler.encode(spoken("eins"), "de", timestamps=False, prompt=Prompt(previous=("zwei drei",)))
    assert prompted.decoder_input_ids[0] == labeler.previous
    taught = [label for label in prompted.labels if label != IGNORED]
    assert taught == bare.labels
    assert prompted.decoder_input_ids[-len(bare.decoder_input_ids) :] == bare.decoder_input_ids


@pytest.mark.parametrize("text", ["<|endoftext|>", "a <|ru|> b", "<|0.00|><|startoftranscript|>", "<|nospeech|> <|"])
def test_text_never_becomes_a_control_token(labeler, text):
    sequence = labeler.encode(spoken(text), "de", timestamps=False)
    taught = sequence.labels[3:-1]  # after language, task and <|notimestamps|>, before the end
    assert all(token < labeler.end for token in taught)
    assert labeler.decode(taught) == text
    assert labeler.text(text, "de") == taught


@pytest.mark.parametrize("segments", [[], [Segment(0, 1, "")], [Segment(0, 1, "  ")]])
@pytest.mark.parametrize("timestamps", [False, True])
def test_no_speech_is_said_right_after_the_start(labeler, oracle, segments, timestamps):
    sequence = labeler.encode(segments, "de", timestamps=timestamps)
    assert sequence.decoder_input_ids == [oracle.sot, oracle.no_speech]
    assert sequence.labels == [oracle.no_speech, oracle.eot]


def test_several_segments_in_pairs_of_timestamps(labeler):
    segments = [Segment(0.31, 1.999, "eins"), Segment(2.5, 30.4, "zwei")]
    taught = labeler.encode(segments, "de", timestamps=True).labels
    times = [token - labeler.timestamp_begin for token in taught if token >= labeler.timestamp_begin]
    assert times == [15, 99, 125, 1500]  # on the grid, never after the true time, at most 30 s
    assert labeler.decode(taught) == "eins zwei"


def test_a_text_has_the_same_tokens_with_and_without_timestamps(labeler):
    segments = [Segment(0, 1, "Licht an."), Segment(1, 2, "Licht aus.")]
    texts = [
        [t for t in labeler.encode(segments, "de", timestamps=timed).labels if t < labeler.end]
        for timed in (False, True)
    ]
    assert texts[0] == texts[1]


def test_times_that_run_backwards_are_refused(labeler):
    with pytest.raises(ValueError, match=r"backwards at 0\.50 s: .zwei."):
        labeler.encode([Segment(0, 1, "eins"), Segment(0.5, 2, "zwei")], "de", timestamps=True)


def test_the_decoders_length_is_the_limit(labeler):
    def of(words):
        return labeler.encode(spoken(" ".join(["ja"] * words)), "de", timestamps=False)

    assert len(of(444).labels) == MAX_TOKENS
    with pytest.raises(ValueError, match="449 tokens do not fit"):
        of(445)


def test_an_unknown_language_is_refused(labeler):
    for code in ("xx", "transcribe", "0.00", ""):
        with pytest.raises(ValueError, match="not one of Whisper's"):
            labeler.language(code)


def test_no_space_before_chinese(labeler):
    assert labeler.decode(labeler.text("你好", "zh")) == "你好"
    assert labeler.text("你好", "zh") != labeler.text("你好", "de")


def test_counts_are_what_is_encoded(labeler):
    assert labeler.count(TEXTS, "de") == [len(labeler.text(text, "de")) for text in TEXTS]


def test_128_mels_have_one_language_more():
    from whisper.tokenizer import get_tokenizer

    labeler, oracle = (
        Labeler(whisper_tokenizer(128)),
        get_tokenizer(multilingual=True, num_languages=100, language="yue"),
    )
    assert labeler.language("yue") == oracle.language_token
    assert (labeler.no_speech, labeler.timestamp_begin) == (oracle.no_speech, oracle.timestamp_begin)


@pytest.mark.parametrize("timestamps", [True, False])
def test_every_token_of_the_text_has_its_time_and_no_control_token_has(labeler, timestamps):
    segments = [Segment(0.5, 2.5, "Schalte das Licht aus!"), Segment(3.0, 4.0, "Größe")]
    sequence = labeler.encode(segments, "de", timestamps=timestamps, prompt=Prompt(about=("Guten Tag.",)))
    assert len(sequence.seconds) == len(sequence.labels)
    said = [
        (label, second) for label, second in zip(sequence.labels, sequence.seconds, strict=True) if second == second
    ]
    times = [second for _, second in said]
    assert times == sorted(times)
    text = [label for label, _ in said if label < labeler.end]
    assert labeler.decode(text) == "Schalte das Licht aus! Größe"
    assert len(said) == len(text) + (4 if timestamps else 0)
    first = labeler.text("Schalte das Licht aus!", "de")
    middles = [second for label, second in said if label < labeler.end]
    assert all(0.5 < second < 2.5 for second in middles[: len(first)])
    assert all(3.0 < second < 4.0 for second in middles[len(first) :])
    if timestamps:
        stamps = {label: second for label, second in said if label >= labeler.timestamp_begin}
        assert stamps == {labeler.timestamp(second): second for second in (0.5, 2.5, 3.0, 4.0)}


def test_a_translation_is_openais(labeler):
    from whisper.tokenizer import get_tokenizer

    oracle = get_tokenizer(multilingual=True, language="zh", task="translate")
    sequence = labeler.encode(spoken("Turn the light on."), "zh", timestamps=False, task="translate")
    # Chinese has no space before a text, but the text is English.
    expected = [*oracle.sot_sequence_including_notimestamps, *oracle.encode(" Turn the light on."), oracle.eot]
    assert [*sequence.decoder_input_ids, sequence.labels[-1]] == expected


def test_a_prompt_is_openais(labeler, oracle):
    """`DecodingTask._get_initial_tokens`: <|startofprev|>, then the last 223 tokens of what was said."""
    words = " ".join(f"Satz {number}." for number in range(200))
    head = labeler.prompt(Prompt(previous=(words,)), "de")
    assert head == [oracle.sot_prev, *oracle.encode(" " + words)[-223:]]


def test_what_is_said_beforehand_stays_whole_and_comes_first(labeler):
    before = "In der Küche."
    head = labeler.prompt(Prompt(about=(before,), previous=("viel " * 300,)), "de")
    assert len(head) == 1 + 223
    assert head[1 : 1 + len(labeler.text(before, "de"))] == labeler.text(before, "de")
    with pytest.raises(ValueError, match=r"a prompt of \d+ tokens, at most 223"):
        labeler.prompt(Prompt(about=("viel " * 300,)), "de")


def test_a_prompt_has_what_room_the_text_leaves(labeler):
    long = spoken(" ".join(["ja"] * 440))
    for previous, about in (("nein " * 100, ()), ("", ("nein",))):
        sequence = labeler.encode(long, "de", timestamps=False, prompt=Prompt(about=about, previous=(previous,)))
        assert len(sequence.labels) <= MAX_TOKENS
        assert [label for label in sequence.labels if label != IGNORED] == labeler.encode(
            long, "de", timestamps=False
        ).labels
    assert (
        len(labeler.encode(long, "de", timestamps=False, prompt=Prompt(previous=("nein " * 100,))).labels) == MAX_TOKENS
    )


def test_a_prompt_never_becomes_a_control_token(labeler):
    head = labeler.prompt(Prompt(about=("<|endoftext|>",), previous=("<|de|><|0.00|>",)), "de")
    assert all(token < labeler.end for token in head[1:])


def test_of_what_is_cut_off_the_start_alone_is_taught(labeler):
    segments = [Segment(0.5, 2.0, "eins")]
    whole, cut = (labeler.encode(segments, "de", timestamps=True, cut_off=at).labels for at in (None, 28.5))
    assert cut == [*whole[:-1], labeler.timestamp(28.5), labeler.end]
    assert (
        labeler.encode(segments, "de", timestamps=False, cut_off=28.5).labels
        == labeler.encode(segments, "de", timestamps=False).labels
    )
    with pytest.raises(ValueError, match=r"begins at 1\.00 s, before the last one ends"):
        labeler.encode(segments, "de", timestamps=True, cut_off=1.0)


def test_a_domains_token_is_read_and_not_taught():
    tokenizer = whisper_tokenizer(80)
    tokenizer.add_tokens(["<|domain:kitchen|>"])
    labeler = Labeler(tokenizer)
    sequence = labeler.encode(
        spoken("eins"), "de", timestamps=False, prompt=Prompt(domain="kitchen", previous=("zwei",))
    )
    assert sequence.decoder_input_ids[:2] == [labeler.previous, 51865]
    assert sequence.labels[:2] == [IGNORED, IGNORED] and labeler.decode(sequence.labels) == "eins"
    for unknown in ("cellar", ""):
        with pytest.raises(ValueError, match=r"no token <\|domain:"):
            labeler.domain(unknown)
