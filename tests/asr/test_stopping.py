"""When a training ends follows from its evaluations alone, so that a run which is run again ends at the same step."""

import json
from types import SimpleNamespace

import pytest

from asr.stopping import EarlyStopping, EvaluationShare, last_step, without_gain


def history(*rates):
    rows = [{"step": 3 * i, "eval_wer": rate, "eval_cer": 1 - rate} for i, rate in enumerate(rates, 1)]
    return [row for evaluated in rows for row in ({"step": evaluated["step"], "loss": 1.0}, evaluated)]


@pytest.mark.parametrize(
    ("rates", "expected"), [((), 0), ((0.5,), 0), ((0.5, 0.5), 1), ((0.5, 0.4), 0), ((0.5, 0.4, 0.4, 0.6), 2)]
)
def test_an_equal_rate_is_no_gain(rates, expected):
    assert without_gain(history(*rates), "wer") == expected


def test_it_stops_by_the_rate_that_was_chosen(capsys):
    state = SimpleNamespace(log_history=history(0.3, 0.4, 0.5), global_step=9, is_world_process_zero=True)
    for metric, stops in (("wer", True), ("cer", False)):
        control = SimpleNamespace(should_training_stop=False)
        EarlyStopping(metric, patience=2).on_evaluate(None, state, control)
        assert control.should_training_stop == stops
    assert "stopping at step 9: no better WER in 2 evaluation(s)" in capsys.readouterr().out


def test_a_checkpoint_tells_that_its_training_had_stopped(tmp_path):
    state = {"global_step": 9, "log_history": history(0.3, 0.4, 0.5)}
    (tmp_path / "trainer_state.json").write_text(json.dumps(state))
    assert last_step(tmp_path, 30, "wer", patience=2) == 9
    assert last_step(tmp_path, 30, "wer", patience=3) == 30  # it was killed, and has not stopped
    assert last_step(tmp_path, 30, "wer", patience=0) == 30
    assert last_step(None, 30, "wer", patience=1) == 30


@pytest.mark.parametrize(("seconds", "warned"), [(5.0, False), (25.0, True)])
def test_the_share_of_the_evaluations_is_told_and_much_of_it_warned_of(capsys, seconds, warned):
    times = iter([100.0, 150.0, 200.0])
    share = EvaluationShare(lambda: next(times))
    state = SimpleNamespace(is_world_process_zero=True, global_step=0, max_steps=9)
    share.on_train_begin(None, state, None)
    share.on_evaluate(None, state, None, metrics={"eval_runtime": seconds})
    first = capsys.readouterr().out  # early enough to change it
    assert ("give fewer eval_utterances" in first) == warned == (f"take {2 * seconds:.0f}% of the time" in first)
    state.global_step = 9
    share.on_train_end(None, state, None)
    said = capsys.readouterr().out
    assert f"evaluations took {seconds:.0f}% of the time" in said
    assert ("give fewer eval_utterances or larger eval_steps" in said) == warned
