"""The page of an evaluation, without a browser: what is in its bytes, and what is never."""

import json
import random
import re
from base64 import b64decode, b64encode
from dataclasses import replace
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser

import jiwer
import pytest
from some_judgement import GERMAN, MODELS, some_judgement, some_rows, tone

from asr.page import Curve, Difference, Gate, Hypothesis, Judgement, Model, Row, write_page
from asr.page import TestSet as JudgedOn  # pytest takes what is called Test for a test
from asr.page.alignment import Confusions, Edits, align
from asr.page.drawing import Scale, draw
from asr.page.recordings import place
from asr.page.tables import parts, rate

EVIL = "<script>alert(1)</script><!-- </style> ]]> \"'> <img src=x onerror=alert(1)> & \\u003c"


class Page(HTMLParser):
    """Tags with their attributes, and the text of each kind of tag."""

    def __init__(self, page: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.inside: dict[str, str] = {}
        self._open = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._open = dict(attributes).get("id", tag)

    def handle_data(self, data):
        self.inside[self._open] = self.inside.get(self._open, "") + data

    def handle_endtag(self, tag):
        self._open = ""

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def policy(self) -> dict[str, str]:
        content = next(meta["content"] for meta in self.all("meta") if meta.get("http-equiv"))
        return dict(directive.split(" ", 1) for directive in content.split("; "))


def written(folder, judgement, **arguments) -> tuple[Page, dict]:
    """The page and the data that its script reads."""
    folder.mkdir(exist_ok=True)
    write_page(folder, judgement, **arguments)
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    return page, json.loads(page.inside["data"])


def one_row(**changes) -> Row:
    return replace(some_rows(2)[1], **changes)


@pytest.mark.parametrize("seed", range(3))
def test_edits_make_the_hypothesis_of_the_reference(seed):
    rng = random.Random(seed)
    words = [rng.choices("abcd", k=rng.randint(0, 9)) for _ in range(400)]
    references, hypotheses = words[:200], words[200:]
    found = align(references, hypotheses)
    for reference, hypothesis, edits in zip(references, hypotheses, found, strict=True):
        pairs = list(edits.pairs(reference))
        assert [word for step, word, _ in pairs if step != "I"] == reference
        assert [word if step == "=" else new for step, word, new in pairs if step != "D"] == hypothesis
        assert all(word != new for step, word, new in pairs if step == "S")


def test_errors_are_those_that_jiwer_counts():
    rows = some_rows(200)
    for model in MODELS:
        hypotheses = [row.hypotheses[model.name].words for row in rows]
        edits = align([row.words for row in rows], hypotheses)
        counted = jiwer.process_words([" ".join(row.words) for row in rows], [" ".join(words) for words in hypotheses])
        for step, name in (("S", "substitutions"), ("D", "deletions"), ("I", "insertions"), ("=", "hits")):
            assert sum(one.steps.count(step) for one in edits) == getattr(counted, name)


def test_a_text_with_itself_has_no_error():
    references = [row.words for row in some_rows(40)]
    assert all(
        edits == Edits("=" * len(words), [])
        for words, edits in zip(references, align(references, references), strict=True)
    )


@pytest.mark.parametrize("words", [["a b"], ["a", ""], [""], [" "], ["a\u3000b"], ["a\n"]])
def test_a_word_with_white_space_is_refused(words):
    with pytest.raises(ValueError, match="white space"):
        align([["a"]], [words])


def test_the_most_frequent_confusions_come_first():
    counted = Confusions()
    for reference, hypothesis in (("a b c", "a x c"), ("b b", "x b"), ("b a", "y a"), ("a", "a a"), ("c a", "a")):
        counted.add(reference.split(), align([reference.split()], [hypothesis.split()])[0])
    assert counted.most("S", 5) == [("b", "x", 2), ("b", "y", 1)]
    assert counted.most("S", 1) == [("b", "x", 2)]
    assert counted.most("D", 5) == [("c", "", 1)] and counted.most("I", 5) == [("", "a", 1)]


def test_a_name_may_end_a_line_after_its_joints():
    assert (
        parts("faster_whisper/int8") == ["faster_", "whisper/", "int8"] and parts("a/") == ["a/"] and parts("") == [""]
    )


@pytest.mark.parametrize("high", [1e-4, 0.013, 0.2, 0.35, 1.0, 6.95, 480, 12_345])
def test_a_scale_has_few_round_ticks_and_holds_all(high):
    scale = Scale.between(0, high)
    assert 3 <= len(scale.ticks) <= 7 and scale.start == 0 and high <= scale.end <= 1.7 * high
    places = [scale.at(tick) for tick in scale.ticks]
    assert places == sorted(places) and (places[0], places[-1]) == (0, 100)


def test_a_model_that_is_far_off_does_not_flatten_the_others():
    scale = Scale.of([(6.95, 6.9, 7.0), (0.02, 0.015, 0.025), (0.013, 0.01, 0.02)])
    assert scale.end < 0.05 and not scale.holds(6.95) and scale.at(6.95) == 100
    assert Scale.of([(0.3, 0.25, 0.35), (0.06, 0.05, 0.07)]).holds(0.35)


def test_a_scale_of_nothing_and_of_zeros():
    for scale in (Scale.of([]), Scale.of([(0.0, 0.0, 0.0)]), Scale.between(3, 3)):
        assert scale.end > scale.start and len(scale.ticks) > 1


def test_a_curve_leaves_out_what_is_no_number():
    assert draw("loss", [(1, float("nan")), (2, float("inf"))], 100, 100) is None
    drawn = draw("loss", [(1, 4.0), (2, float("nan")), (3, 2.0), (4, 3.0)], 100, 100)
    assert drawn.last == (4, 3.0) and drawn.least == (3, 2.0) and drawn.path.count("L") == 2
    assert draw("loss", [(1, 4.0)], 100, 100).path.endswith("h0")


def test_recordings_are_inside_up_to_a_size_and_beside_beyond_it(tmp_path):
    audio = {name: tone(0.1, 300 + 50 * i) for i, name in enumerate(("a", "b", "../c"))}
    ids, size = ["a", "none", "b", "a", "../c"], sum(map(len, audio.values()))
    inside = place(tmp_path, ids, audio, size)
    assert not inside.beside and not list(tmp_path.iterdir()) and inside.size == size
    assert inside.numbers == [0, None, 1, 0, 2]
    assert [b64decode(inside.inlined[number]) for number in (0, 1, 2)] == list(audio.values())
    beside = place(tmp_path, ids, audio, size - 1)
    assert beside.beside and not beside.inlined and beside.numbers == inside.numbers
    assert {path.name: path.read_bytes() for path in (tmp_path / "audio").iterdir()} == {
        f"{number}.flac": sound for number, sound in enumerate(audio.values())
    }


def test_recordings_are_read_once_each(tmp_path):
    class Once(dict):
        def __getitem__(self, name):
            return self.pop(name)

    audio = Once({"a": tone(0.1, 300), "b": tone(0.1, 400)})
    assert place(tmp_path, ["a", "b"], audio, 10).beside and not audio


def test_a_recording_that_is_no_flac_is_refused(tmp_path):
    with pytest.raises(ValueError, match="a: its recording is no FLAC"):
        place(tmp_path, ["a"], {"a": b"RIFF"}, 100)


def test_the_same_judgement_gives_the_same_bytes(tmp_path):
    for limit in (20_000_000, 1000):
        files = []
        for name in ("first", "second"):
            folder = tmp_path / f"{name}{limit}"
            written(folder, some_judgement(), inlined=limit)
            files.append({path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")})
        assert files[0] == files[1] and len(files[0]) == (1 if limit > 1000 else 9)


def test_a_page_is_as_large_as_its_recordings_and_no_larger_beside_them(tmp_path):
    judgement = some_judgement()
    sound = sum(map(len, judgement.audio.values()))
    written(tmp_path / "none", replace(judgement, audio={}))
    written(tmp_path / "inside", judgement)
    written(tmp_path / "beside", judgement, inlined=1000)
    none, inside, beside = ((tmp_path / name / "report.html").stat().st_size for name in ("none", "inside", "beside"))
    assert 4 / 3 * sound < inside - none < 1.4 * sound + 1000
    assert abs(beside - none) < 1000


def test_what_models_have_in_common_is_there_once(tmp_path):
    same = Hypothesis("Unmistakable text.", ["unmistakable", "text"])
    row = one_row(hypotheses={model.name: same for model in MODELS}, words=["other", "text"])
    _, data = written(tmp_path, some_judgement(rows=[row], audio={}))
    assert data["rows"][0][-2:] == [[0, 0, 0], [["Unmistakable text.", "S=", "unmistakable"]]]


def test_nothing_from_the_data_is_markup(tmp_path):
    rows = some_rows(4)
    word = EVIL.replace(" ", "")
    evil = Hypothesis(EVIL, [word, word])
    models = [Model(f"{role}{EVIL}", role) for role in ("base", "tuned", "exported")]
    figures = {"wer": 0.5, "wer_low": 0.4, "wer_high": 0.6, EVIL: 3}
    row = Row(EVIL, EVIL, EVIL, ["a", word, "c"], {m.name: evil for m in models}, 1.0, {"speaker": EVIL, EVIL: EVIL})
    judgement = Judgement(
        models=models,
        test_sets=[JudgedOn(EVIL, EVIL)],
        figures={m.name: {EVIL: figures} for m in models},
        rows=[row, replace(row, groups={"speaker": "b", EVIL: "b"})],
        audio={EVIL: tone(0.1, 300)},
        differences=[Difference(models[1].name, models[0].name, EVIL, -0.1, -0.2, 0.1, 0.3, 0.7)],
        gates=[Gate(EVIL, 1.0, (0.5, 1.5), EVIL, False)],
        groups={"speaker": {EVIL: {m.name: figures for m in models}}, EVIL: {EVIL: {models[0].name: figures}}},
        curves=[Curve(EVIL, [(1, 2.0), (2, 1.0)])],
        notes=[EVIL],
    )
    plain, _ = written(tmp_path / "plain", some_judgement(rows=rows, audio={}))
    page, data = written(tmp_path / "evil", judgement)
    assert [tag for tag, _ in page.tags if tag in ("script", "img", "style")] == ["style", "script", "script", "script"]
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in plain.tags}
    assert not any(name.startswith("on") or name == "style" for _, attributes in page.tags for name in attributes)
    assert data["rows"][0][0] == data["rows"][0][2] == EVIL
    text = (tmp_path / "evil/report.html").read_text(encoding="utf-8")
    assert text.count("<script>") == 1 and "<img" not in text and "<!--" not in text
    assert EVIL in unescape(text)


def test_text_that_is_no_unicode_can_be_written(tmp_path):
    row = one_row(id="a/\udcff", reference="\ud800")
    _, data = written(tmp_path, some_judgement(rows=[row], audio={}))
    assert data["rows"][0][0] == "a/\udcff"


@pytest.mark.parametrize(("limit", "media"), [(20_000_000, "data:"), (1000, "'self' file:")])
def test_the_policy_lets_nothing_run_but_the_page_itself(tmp_path, limit, media):
    page, _ = written(tmp_path, some_judgement(), inlined=limit)
    policy = page.policy
    for directive, tag in (("style-src", "style"), ("script-src", "script")):
        digest = b64encode(sha256(page.inside[tag].encode()).digest()).decode()
        assert policy[directive] == f"'sha256-{digest}'"
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'" and policy["media-src"] == media


def test_the_script_makes_no_markup_of_text_and_the_page_needs_no_other_file(tmp_path):
    page, _ = written(tmp_path, some_judgement())
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(|srcdoc", page.inside["script"]
    )
    assert "</" not in page.inside["script"] and "</" not in page.inside["style"]
    links = {value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href")}
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert links and all(link.startswith("#") and link[1:] in ids for link in links)
    assert "url(" not in page.inside["style"] and "@import" not in page.inside["style"]


def test_figures_gates_and_groups_are_told(tmp_path):
    judgement = some_judgement()
    written(tmp_path, judgement)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for text in (
        "3 models on 2 test sets, 40 utterances. 1 of 2 gates missed.",
        "✗ missed",
        "−0.2900",
        "−29.00",
        "−33.00 to −24.00",
    ):
        assert text in page
    for kind in ("speaker", "domain", "duration"):
        assert f"By {kind}" in page
    for models in judgement.groups["domain"].values():
        for of in models.values():
            assert of["wer_low"] < of["wer_high"]
            cell = f'{rate(of["wer"])} <br><span class="soft">{rate(of["wer_low"])} to {rate(of["wer_high"])}</span>'
            assert cell in page
    assert page.count('class="curve"') == 2


def test_a_group_that_says_no_word_has_no_rate(tmp_path):
    groups = {"domain": {"home": {"merge_lora": {"wer": 0.5, "words": 4}}, "noise": {"merge_lora": {"words": 0}}}}
    written(tmp_path, some_judgement(groups=groups))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    noise = page[page.index('aria-label="noise"') :].split("</tbody>")[0]
    assert ">– <br>" in noise and 'data-label="words">0' in noise and "nan" not in noise


def test_a_model_that_has_heard_less_of_a_group_is_told_so(tmp_path):
    of_home = {"base_model": {"wer": 0.5, "words": 1_200}, "merge_lora": {"wer": 0.25, "words": 90}}
    written(tmp_path, some_judgement(groups={"domain": {"home": of_home}}))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("of 90 words alone") == 1 and "1,200 words alone" not in page
    assert 'data-label="words">1,200' in page


def test_figures_that_a_later_version_adds_are_columns(tmp_path):
    figures = {"wer": 0.1, "wer_raw": 0.2, "lost_sentences": 3, "share": 0.01234, "odd": float("inf")}
    page, _ = written(tmp_path, some_judgement(figures={"merge_lora": {"general": figures}}))
    cells = {cell.get("data-label") for cell in page.all("td")}
    assert {"WER raw", "lost sentences", "share", "odd"} <= cells and not any("low" in (cell or "") for cell in cells)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert all(f">{value}" in text for value in ("20.00", "3", "0.0123", "∞"))


def test_an_evaluation_with_little_in_it(tmp_path):
    little = Judgement(
        [Model("mine", "tuned")], [JudgedOn("general")], {"mine": {"general": {"wer": float("nan")}}}, []
    )
    page, data = written(tmp_path, little)
    assert data["rows"] == [] and not page.all("figure")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "1 models" not in text and 'id="gates"' not in text and "–" in text


def test_a_model_that_was_not_asked_has_no_hypothesis(tmp_path):
    row = one_row()
    only = replace(row, hypotheses={"merge_lora": row.hypotheses["merge_lora"]})
    _, data = written(tmp_path, some_judgement(rows=[only], audio={}))
    assert data["rows"][0][-2] == [-1, 0, -1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": [*MODELS, Model("base_model", "tuned")]}, "two models have one name"),
        ({"test_sets": [JudgedOn("general"), JudgedOn("general")]}, "two test sets have one name"),
        ({"test_sets": [JudgedOn("general")]}, "chinese/0: there is no test set 'chinese'; there are"),
        (
            {"models": MODELS[:2], "figures": {}, "differences": (), "silence": {}},
            r"chinese/0: hypotheses of no model: \['convert_to_faster/int8'\]",
        ),
        ({"models": MODELS[:2]}, r"figures of no model: \['convert_to_faster/int8'\]"),
        ({"silence": {"a": {"clips": 1}}}, r"figures of no model: \['a'\]"),
        ({"differences": [Difference("a", "base_model", "general", 0, 0, 0, 1, 0.5)]}, r"of no model: \['a'\]"),
        ({"rows": [one_row(words=["two words"])]}, "white space"),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        write_page(tmp_path, some_judgement(**changes))
    assert not list(tmp_path.iterdir())


def test_many_speakers_are_no_menu(tmp_path):
    rows = [one_row(id=str(i), groups={"speaker": str(i), "domain": GERMAN[i % 2]}) for i in range(301)]
    page, _ = written(tmp_path, some_judgement(rows=rows, audio={}))
    assert [select["data-filter"] for select in page.all("select") if "data-filter" in select] == ["domain"]


def test_where_nobody_speaks_and_the_limits_of_gates_are_shown(tmp_path):
    written(tmp_path, some_judgement())
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert all(told in page for told in ("50.00 %", "25.00 %", "0.125", "known phantom"))
    assert "[−0.3100, −0.2700] at most 0<" in page and "at most 0.01<" in page


def test_a_difference_of_which_no_interval_is_known_is_told_without_one(tmp_path):
    unknown = Difference("merge_lora", "base_model", "general", -0.5, float("nan"), float("nan"), 1.0, 0.5)
    written(tmp_path, some_judgement(differences=[unknown]))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "−50.00" in page and "– to –" in page and "not told apart" in page and "nan" not in page.split("<script")[0]
