"""What is taught of a teacher's transcripts: what another hears too, and no loops."""

import pytest

from asr.pseudo_labels import MAX_COMPRESSION, compression_ratio, problem_of

LONG = "Schalte bitte im Flur das Licht ein, und danach öffne die Tür zur Küche, damit der Hund hinaus kann."


@pytest.mark.parametrize("text", ["Licht an.", LONG, "Ja, ja, gut.", "1, 2, 3, 4, 5", "so so"])
def test_what_both_hear_is_taught(text):
    assert problem_of(text, text, "de", 0.0) is None
    assert problem_of(text, text.upper().rstrip("."), "de", 0.0) is None  # capitals and signs are no disagreement


@pytest.mark.parametrize(
    "text",
    [
        "danke " * 5,
        "Vielen Dank. " * 4,
        "谢谢谢谢谢谢谢谢",
        f"{LONG} " * 5,
        "Das ist gut. Das ist gut. Das ist gut. Das ist gut.",
    ],
)
def test_a_loop_is_not(text):
    reason, detail = problem_of(text.strip(), text.strip(), "de", 1.0)
    assert reason == "repeats_itself" and text[:10] in detail


def test_disagreement_is_counted_in_words_or_characters():
    assert problem_of("eins zwei drei vier", "eins zwei drei fünf", "de", 0.25) is None
    reason, detail = problem_of("eins zwei drei vier", "eins zwei drei fünf", "de", 0.24)
    assert reason == "teachers_disagree" and detail.startswith("0.25, at most 0.24: 'eins zwei drei vier' and")
    assert problem_of("今天天气很好啊朋友们", "今天天气很好啊朋友门", "zh", 0.1) is None  # a word error of 1
    assert problem_of("今天天气很好啊朋友们", "今天天气很好啊朋友门", "zh", 0.09)[0] == "teachers_disagree"


def test_nothing_said_is_no_label():
    assert problem_of("", "", "de", 1.0) == ("says_nothing", "neither does the other")
    assert problem_of("", "Licht an.", "de", 1.0) == ("says_nothing", "the other hears 'Licht an.'")


def test_the_compression_ratio_is_openais():
    from whisper.utils import compression_ratio as openais

    for text in ("Licht an.", LONG, LONG * 4):
        assert compression_ratio(text) == openais(text)
    assert compression_ratio(LONG) < MAX_COMPRESSION < compression_ratio(LONG * 4)
