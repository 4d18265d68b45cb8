"""The printed table and the gates' lines."""

from asr.gates import Gate, Verdict
from asr.report import table, verdicts

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
    lines = verdicts([Verdict(Gate("a general wer", 0.1), 0.05), Verdict(Gate("a domain wer", 0.1), 0.2)]).splitlines()
    assert lines == ["ok      a general wer = 0.0500, at most 0.1", "MISSED  a domain wer = 0.2000, at most 0.1"]
