"""Gates: the arithmetic of each kind, exports by `/*`, and figures that do not exist."""

import json
from dataclasses import fields

import pytest

from asr import params
from asr.errors import UserError
from asr.gates import Gate, expand, judge


def rate(wer: float, **more) -> dict:
    return {"wer": wer, "wer_low": wer - 0.02, "wer_high": wer + 0.03} | more


METRICS = {
    "base": {"general": rate(0.8, words=100), "empty": rate(0.0)},
    "tuned": {"general": rate(0.13, valid_timestamps=0.9), "empty": rate(0.0), "silent": rate(0.0)},
    "fast/float32": {"general": rate(0.12)},
    "fast/int8": {"general": rate(0.15)},
    "beam/float32": {"general": rate(0.12)},
    "beam/int8": {"general": rate(0.11)},
}


def paired(test_set: str, figure: str, model: str, other: str) -> tuple[float, float]:
    """Narrower than the intervals of both."""
    difference = METRICS[model][test_set][figure] - METRICS[other][test_set][figure]
    return difference - 0.01, difference + 0.01


def verdicts(*gates: Gate, metrics=METRICS):
    return judge(expand(gates, metrics), metrics, paired)


def values(**gate) -> list[float]:
    return [verdict.value for verdict in verdicts(Gate(**{"at_most": 0.0} | gate))]


def test_a_gate_of_params_yaml_has_the_same_fields():
    assert {field.name for field in fields(Gate)} == set(params.Gate.model_fields)


def test_arithmetic():
    assert values(figure="tuned general wer") == [0.13]
    assert values(figure="tuned general wer", minus="base general wer") == [pytest.approx(-0.67)]
    assert values(figure="tuned general wer", distance_to="base general wer") == [pytest.approx(0.67)]
    assert values(figure="tuned general wer", ratio_to="base general wer") == [pytest.approx(0.1625)]


def test_ratio_to_nothing():
    assert values(figure="tuned empty wer", ratio_to="base empty wer") == [0.0]
    assert values(figure="tuned general wer", ratio_to="base empty wer") == [float("inf")]


def test_a_value_on_the_limit_passes_in_spite_of_binary_fractions():
    gate = Gate("tuned general wer", at_most=0.01, distance_to="fast/float32 general wer")
    assert 0.13 - 0.12 > 0.01
    assert verdicts(gate)[0].passed
    assert not verdicts(Gate("tuned general wer", at_most=0.1299))[0].passed


def test_star_stands_for_each_export():
    found = verdicts(Gate("fast/* general wer", at_most=0.02, distance_to="tuned general wer"))
    assert [verdict.gate.figure for verdict in found] == ["fast/float32 general wer", "fast/int8 general wer"]
    assert {verdict.gate.distance_to for verdict in found} == {"tuned general wer"}


def test_two_stars_mean_the_same_export():
    gate = Gate("fast/* general wer", at_most=0.03, minus="beam/* general wer")
    found = verdicts(gate)
    assert [verdict.value for verdict in found] == [pytest.approx(0.0), pytest.approx(0.04)]
    assert [verdict.passed for verdict in found] == [True, False]
    assert str(found[1]) == "fast/int8 general wer - beam/int8 general wer = 0.0400 [0.0300, 0.0500], at most 0.03"


def test_an_export_that_one_side_lacks_is_missed_not_skipped():
    metrics = {name: sets for name, sets in METRICS.items() if name != "beam/int8"}
    with pytest.raises(UserError, match="no beam/int8"):
        verdicts(Gate("fast/* general wer", at_most=1.0, minus="beam/* general wer"), metrics=metrics)


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        (Gate("tunde general wer", at_most=1.0), "gate with figure: .* no tunde; there are base, tuned"),
        (Gate("tuned genral wer", at_most=1.0), "no genral of tuned; there are general, empty, silent"),
        (Gate("base general mer", at_most=1.0), "no mer of base general; there are wer, wer_low, wer_high, words"),
        (Gate("base general wer", at_most=1.0, ratio_to="x general wer"), "gate with ratio_to: .* no x"),
        (Gate("ggml/* general wer", at_most=1.0), "no model is called ggml/"),
        (Gate("base general words", at_most=1, certain=True), "gate base general words: certain needs a 95 % interval"),
        (Gate("base general wer", at_most=1, ratio_to="tuned general wer", certain=True), "certain needs"),
        (Gate("base general wer", at_most=1, minus="tuned empty wer", certain=True), "certain needs"),
    ],
)
def test_a_figure_that_does_not_exist_is_named_with_what_does(gate, message):
    with pytest.raises(UserError, match=message):
        expand([gate], METRICS)


def test_names_alone_suffice_before_the_work():
    names = {"fast/int8": {"general": ["wer", "cer"]}}
    assert expand([Gate("fast/* general cer", at_most=0.1)], names) == [Gate("fast/int8 general cer", at_most=0.1)]


def test_at_least_is_the_other_way_round():
    assert verdicts(Gate("tuned general valid_timestamps", at_least=0.9))[0].passed
    (found,) = verdicts(Gate("tuned general valid_timestamps", at_least=0.91))
    assert not found.passed
    assert str(found) == "tuned general valid_timestamps = 0.9000, at least 0.91"


def test_rates_and_paired_differences_have_their_intervals():
    """Of a difference that of the pairs, not that of two intervals; of a distance, which is never below 0, its bounds."""
    found = verdicts(
        Gate("tuned general wer", at_most=1),
        Gate("tuned general wer", at_most=1, minus="base general wer"),
        Gate("fast/int8 general wer", at_most=1, distance_to="tuned general wer"),
        Gate("fast/float32 general wer", at_most=1, distance_to="beam/float32 general wer"),
        Gate("tuned general wer", at_most=1, ratio_to="base general wer"),
        Gate("tuned general wer", at_most=1, minus="base empty wer"),
        Gate("base general words", at_most=1),
    )
    wanted = [(0.11, 0.16), (-0.68, -0.66), (0.01, 0.03), (0.0, 0.01), None, None, None]
    assert [verdict.interval for verdict in found] == [one and pytest.approx(one) for one in wanted]


@pytest.mark.parametrize(
    ("limit", "passed", "certainly"),
    [
        ({"at_most": 0.14}, True, False),  # 0.13, from 0.11 to 0.16
        ({"at_most": 0.16}, True, True),
        ({"at_least": 0.12}, True, False),
        ({"at_least": 0.11}, True, True),
        ({"at_most": 0.12}, False, False),
    ],
)
def test_certain_asks_the_end_of_the_interval_that_is_nearer_to_failing(limit, passed, certainly):
    (plain,), (certain,) = (verdicts(Gate("tuned general wer", certain=of, **limit)) for of in (False, True))
    assert (plain.passed, certain.passed) == (passed, certainly)
    assert "certainly at" in str(certain)
    assert ("not certainly" in str(plain)) is (passed and not certainly)


def test_where_no_interval_is_known_nothing_is_certain():
    metrics = {"base": {"one": {"wer": 0.5}}, "tuned": {"one": {"wer": 0.0}}}
    gates = [
        Gate("tuned one wer", at_most=0.5, certain=True),
        Gate("tuned one wer", at_most=0.0, minus="base one wer", certain=True),
        Gate("tuned one wer", at_most=0.5),
    ]
    found = judge(gates, metrics, lambda *_: (float("nan"), float("nan")))
    assert [verdict.passed for verdict in found] == [False, False, True]
    assert str(found[0]) == "tuned one wer = 0.0000 [not known], certainly at most 0.5"


@pytest.mark.parametrize(("interval", "passed"), [((0.0, 0.0), False), ((-0.02, -0.01), True), ((-0.02, 0.0), False)])
def test_the_same_transcripts_are_not_certainly_better(interval, passed):
    gate = Gate("tuned general wer", at_most=0.0, minus="base general wer", certain=True)
    (verdict,) = judge([gate], METRICS, lambda *_: interval)
    assert verdict.passed is passed
    near = Gate("tuned general wer", at_most=0.0, distance_to="base general wer", certain=True)
    assert judge([near], METRICS, lambda *_: (0.0, 0.0))[0].passed  # but certainly equal


def test_errors_against_none_are_told_and_are_json():
    (verdict,) = verdicts(Gate("tuned general wer", at_most=1.0, ratio_to="base empty wer"))
    assert json.loads(json.dumps(verdict.row(), allow_nan=False)) == verdict.row()
    assert not verdict.passed and str(verdict) == "tuned general wer / base empty wer = inf, at most 1"


def test_a_figure_that_is_not_known_in_the_end_is_missed():
    gates = expand([Gate("tuned empty wer_high", at_most=1.0)], METRICS)
    metrics = {"tuned": {"empty": {"wer": 0.0}}}
    (verdict,) = judge(gates, metrics, paired)
    assert not verdict.passed and str(verdict) == "tuned empty wer_high = not known, at most 1"
