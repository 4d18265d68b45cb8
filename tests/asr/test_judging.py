"""Figures of groups add up, and models are compared on the same utterances."""

import random

import pytest

from asr.errors import UserError
from asr.intervals import Resamples
from asr.judging import JudgedSet, Utterances, band, grouped, insertions_in_silence
from asr.normaliser import Normaliser

WORDS = ["licht", "an", "aus", "küche", "bitte", "zwölf", "straße", "die"]


def made(name, count, seed, language="de"):
    rng = random.Random(seed)
    said = [" ".join(rng.choices(WORDS, k=rng.randint(2, 8))) for _ in range(count)]
    heard = {
        model: [" ".join(w if rng.random() > wrong else rng.choice(WORDS) for w in text.split()) for text in said]
        for model, wrong in (("base", 0.4), ("tuned", 0.1))
    }
    of = Utterances(
        [f"{name}/{i}" for i in range(count)], said, language, [rng.uniform(0.5, 40) for _ in said],
        [f"s{i % 5}" if i % 7 else "" for i in range(count)], ["home"] * count,
    )  # fmt: skip
    return JudgedSet(of, heard, Normaliser.of("words"))


def test_groups_add_up_over_test_sets():
    sets = [made("a", 60, 0), made("b", 40, 1)]
    groups = grouped(sets)
    assert set(groups) == {"speaker", "duration"}  # of one domain there is nothing to compare
    for model in ("base", "tuned"):
        words = sum(judged.figures(model)["words"] for judged in sets)
        assert sum(values[model]["words"] for values in groups["duration"].values()) == words
        assert sum(values[model]["words"] for values in groups["speaker"].values()) < words  # some are not known


def test_groups_have_the_figures_of_their_utterances_with_intervals():
    judged = made("a", 120, 3)
    groups = grouped([judged])
    for kind in ("speaker", "duration"):
        for value, models in groups[kind].items():
            own = [i for i in range(120) if judged.groups_of(i).get(kind) == value]
            for model, figures in models.items():
                alone = JudgedSet(
                    Utterances(*(_some(of, own) for of in vars(judged.utterances).values())),
                    {model: _some(judged.hypotheses[model], own)},
                    judged.normaliser,
                ).figures(model)
                assert {name: figures[name] for name in ("wer", "cer", "words")} == {
                    name: pytest.approx(alone[name]) for name in ("wer", "cer", "words")
                }
                for rate in ("wer", "cer"):
                    bounds = figures[f"{rate}_low"], figures[f"{rate}_high"]
                    assert bounds[0] < figures[rate] < bounds[1]
                    assert bounds == pytest.approx((alone[f"{rate}_low"], alone[f"{rate}_high"]), abs=0.03)
    # Of one speaker utterances are drawn, of several the speakers.
    units = [Resamples(_some(judged.utterances.speakers, own)).unit for own in ([1, 6, 11], range(120))]
    assert units == ["utterance", "speaker"]


def _some(of, indices):
    return of if isinstance(of, str) else [of[i] for i in indices]


def test_models_of_a_group_count_the_test_sets_that_they_have_heard():
    one, two = made("a", 30, 4), made("b", 30, 5)
    two = JudgedSet(two.utterances, {"tuned": two.hypotheses["tuned"], "long": two.hypotheses["base"]}, two.normaliser)
    groups = grouped([one, two])["duration"]
    for model, sets in (("base", [one]), ("long", [two]), ("tuned", [one, two])):
        words = sum(judged.figures(model)["words"] for judged in sets)
        assert sum(values[model]["words"] for values in groups.values() if model in values) == words


def test_what_is_written_where_nothing_is_said_is_no_rate_but_a_count():
    said, heard = ["ja", "", "...", "[Musik] nein"], ["ja ja", "Vielen Dank.", "", "nein"]
    of = Utterances(list("1234"), said, "de", [1.0] * 4, ["a", "b", "b", "c"], [""] * 4)
    judged = JudgedSet(of, {"m": heard}, Normaliser.of("words"))
    assert insertions_in_silence(judged.scored["m"]) == 2
    groups = grouped([judged])["speaker"]
    assert groups["b"]["m"] == {"words": 0, "profile": judged.normaliser.profile} and groups["a"]["m"]["wer"] == 1.0


def test_the_better_model_is_better_and_its_interval_holds_its_rate():
    judged = made("a", 200, 2)
    assert judged.resampled_by == "speaker"
    difference = judged.difference("tuned", "base")
    assert difference.high < 0 and difference.wins > 0.99
    figures = judged.figures("tuned")
    assert figures["wer_low"] <= figures["wer"] <= figures["wer_high"]
    assert difference.difference == pytest.approx(figures["wer"] - judged.figures("base")["wer"])


def test_a_transcript_without_end_is_counted():
    of = Utterances(["1", "2"], ["ja", "nein"], "de", [1.0, 1.0], ["", ""], ["", ""])
    judged = JudgedSet(of, {"m": ["ja", "nein " * 40]}, Normaliser.of("words"))
    assert judged.figures("m")["rambling"] == 0.5 and judged.resampled_by == "utterance"


def test_bands_of_durations_are_in_order():
    bands = [band(seconds) for seconds in (0.5, 2, 2.1, 7, 15, 30, 31)]
    assert bands == ["00 to 02 s", "00 to 02 s", "02 to 05 s", "05 to 10 s", "10 to 20 s", "20 to 30 s", "over 30 s"]


def test_where_words_are_not_separated_characters_are_compared():
    of = Utterances(["1", "2"], ["今天天气很好", "我们去公园"], "zh", [1.0, 1.0], ["", ""], ["", ""])
    judged = JudgedSet(
        of, {"good": ["今天天气很妙", "我们去公圆"], "bad": ["明夭夭汽艮女", "伐门丢厶圆"]}, Normaliser.of("cjk")
    )
    difference = judged.difference("good", "bad")
    expected = judged.figures("good")["cer"] - judged.figures("bad")["cer"]
    assert difference.difference == pytest.approx(expected) and expected < 0
    assert set(grouped([judged])) <= {"speaker (characters)", "duration (characters)"}


def test_sentences_are_lost_by_the_same_normaliser():
    of = Utterances(["1"], ["Das ist alles. E-Mail? Danke dir."], "de", [3.0], [""], [""])
    german = JudgedSet(of, {"m": ["Das ist alles. Email? Danke dir."]}, Normaliser.of("asr-german-mixed-evals"))
    assert german.lost("m") == [0]
    of = Utterances(["1"], ["你好吗。再见了。谢谢你。"], "zh", [3.0], [""], [""])
    texts = {"all": ["你好吗再见了谢谢你"], "less": ["你好吗谢谢你"]}
    chinese = JudgedSet(of, texts, Normaliser.of("cjk"))
    assert (chinese.lost("all"), chinese.lost("less")) == ([0], [1])


def test_a_profile_that_leaves_no_word_is_refused():
    of = Utterances(["1"], ["[Musik]"], "de", [1.0], [""], [""])
    with pytest.raises(UserError, match="leaves no word of 1"):
        JudgedSet(of, {"m": ["ja"]}, Normaliser.of("asr-german-mixed-evals"))
