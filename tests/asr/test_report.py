"""The printed table and the gates' lines."""

import json
import subprocess
import sys
from pathlib import Path

from asr.gates import Gate, Verdict
from asr.report import table, told, verdicts

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
FIGURES = {"wer": 0.05, "cer": 0.0125, "words": 612, "substitutions": 20, "deletions": 10, "insertions": 1}


def test_table_has_a_line_for_each_model_and_test_set_in_aligned_columns():
    lines = table(
        {"base_model": {"general": FIGURES, "domain": FIGURES | {"wer": 1.5}}, "x/int8": {"general": FIGURES}}
    ).splitlines()
    assert lines[0].split() == ["model", "test", "set", "WER", "%", "CER", "%", "words", "subst.", "del.", "ins."]
    assert lines[2].split() == ["base_model", "domain", "150.00", "1.25", "612", "20", "10", "1"]
    assert len(lines) == 4
    assert len({len(line) for line in lines}) == 1


def test_lost_sentences_have_a_column_where_there_are_any():
    lines = table({"a": {"general": FIGURES}, "b": {"long": FIGURES | {"lost_sentences": 3}}}).splitlines()
    assert lines[0].endswith("lost sentences")
    assert lines[1].endswith(" 1")
    assert lines[2].endswith(" 3")


def test_verdicts_say_what_was_missed():
    judged = [
        Verdict(Gate("a general wer", 0.1), 0.05),
        Verdict(Gate("a long wer", 0.1), 0.05, (0.01, 0.12)),
        Verdict(Gate("a domain wer", 0.1), 0.2, (0.1, 0.3)),
    ]
    rows = json.loads(json.dumps([verdict.row() for verdict in judged]))
    assert verdicts(rows).splitlines() == [
        "ok      a general wer = 0.0500, at most 0.1",
        "ok      a long wer = 0.0500 [0.0100, 0.1200], at most 0.1, not certainly",
        "MISSED  a domain wer = 0.2000 [0.1000, 0.3000], at most 0.1",
        "2 of 3 gates kept",
    ]
    assert verdicts([]) == ""


def test_as_a_program_it_prints_the_figures_and_the_gates_once_more(tmp_path):
    (tmp_path / "metrics.json").write_text(json.dumps({"a": {"general": FIGURES}}))
    code = [sys.executable, "-m", "asr.report", tmp_path / "metrics.json"]

    def said() -> str:
        return subprocess.run(code, env={"PYTHONPATH": SCRIPTS}, capture_output=True, text=True, check=True).stdout

    table_alone = said()
    assert table_alone.startswith("model") and "gates" not in table_alone
    rows = [Verdict(Gate("a general wer", 0.1), 0.05).row()]
    (tmp_path / "gates.json").write_text(json.dumps(rows))
    assert said() == f"{table_alone}\nok      a general wer = 0.0500, at most 0.1\n1 of 1 gates kept\n"


def test_what_was_asked_beside_the_text_is_told_and_nothing_else():
    assert told({"a": {"general": FIGURES}}) == table({"a": {"general": FIGURES}})
    silence = {"clips": 14, "with_text": 0.5, "phantom": 0.0, "no_speech_probability": 0.25}
    seen = {"speakers_in_training": 0, "recordings_in_training": 0, "sentences_in_training": 7}
    lines = told(
        {
            "a": {"general": FIGURES | {"language_accuracy": 1.0, "valid_timestamps": 0.975}, "silence": silence},
            "b": {"silence": {name: silence[name] for name in ("clips", "with_text", "phantom")}},
            "training_data": {"general": seen},
        }
    ).splitlines()
    assert lines[2:] == [
        "",
        "what training may make a model forget:",
        "  a general: language identified 100.0%, valid timestamps 97.5%",
        "",
        "where nobody speaks:",
        "  a: text in 50% of 14 clips, a known phantom in 0%, P(no speech) 0.25",
        "  b: text in 50% of 14 clips, a known phantom in 0%",
        "",
        "test utterances that share something with the training data:",
        "  general: 0 speakers in training, 0 recordings in training, 7 sentences in training",
    ]
