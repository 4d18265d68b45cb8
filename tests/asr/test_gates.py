"""Gates: the arithmetic of each kind, exports by `/*`, and figures that do not exist."""

from dataclasses import fields

import pytest

from asr import params
from asr.errors import UserError
from asr.gates import Gate, expand, judge

METRICS = {
    "base": {"general": {"wer": 0.8, "words": 100}, "empty": {"wer": 0.0}},
    "tuned": {"general": {"wer": 0.13}, "empty": {"wer": 0.0}, "silent": {"wer": 0.0}},
    "fast/float32": {"general": {"wer": 0.12}},
    "fast/int8": {"general": {"wer": 0.15}},
    "beam/float32": {"general": {"wer": 0.12}},
    "beam/int8": {"general": {"wer": 0.11}},
}


def values(**gate) -> list[float]:
    return [verdict.value for verdict in judge([Gate(**{"at_most": 0.0} | gate)], METRICS)]


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
    assert judge([gate], METRICS)[0].passed
    assert not judge([Gate("tuned general wer", at_most=0.1299)], METRICS)[0].passed


def test_star_stands_for_each_export():
    verdicts = judge([Gate("fast/* general wer", at_most=0.02, distance_to="tuned general wer")], METRICS)
    assert [verdict.gate.figure for verdict in verdicts] == ["fast/float32 general wer", "fast/int8 general wer"]
    assert {verdict.gate.distance_to for verdict in verdicts} == {"tuned general wer"}


def test_two_stars_mean_the_same_export():
    gate = Gate("fast/* general wer", at_most=0.03, minus="beam/* general wer")
    verdicts = judge([gate], METRICS)
    assert [verdict.value for verdict in verdicts] == [pytest.approx(0.0), pytest.approx(0.04)]
    assert [verdict.passed for verdict in verdicts] == [True, False]
    assert str(verdicts[1]) == "fast/int8 general wer - beam/int8 general wer = 0.0400, at most 0.03"


def test_an_export_that_one_side_lacks_is_missed_not_skipped():
    metrics = {name: sets for name, sets in METRICS.items() if name != "beam/int8"}
    with pytest.raises(UserError, match="no beam/int8"):
        judge([Gate("fast/* general wer", at_most=1.0, minus="beam/* general wer")], metrics)


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        (Gate("tunde general wer", at_most=1.0), "gate with figure: .* no tunde; there are base, tuned"),
        (Gate("tuned genral wer", at_most=1.0), "no genral of tuned; there are general, empty, silent"),
        (Gate("base general mer", at_most=1.0), "no mer of base general; there are wer, words"),
        (Gate("base general wer", at_most=1.0, ratio_to="x general wer"), "gate with ratio_to: .* no x"),
        (Gate("ggml/* general wer", at_most=1.0), "no model is called ggml/"),
    ],
)
def test_a_figure_that_does_not_exist_is_named_with_what_does(gate, message):
    with pytest.raises(UserError, match=message):
        expand([gate], METRICS)


def test_names_alone_suffice_before_the_work():
    names = {"fast/int8": {"general": ["wer", "cer"]}}
    assert expand([Gate("fast/* general cer", at_most=0.1)], names) == [Gate("fast/int8 general cer", at_most=0.1)]
