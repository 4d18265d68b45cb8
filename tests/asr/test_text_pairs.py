"""What does not pair is named; nothing is judged on what is left."""

import json

import pytest

from asr.errors import UserError
from asr.text_pairs import Pair, read_pairs, same_references


def write(path, rows, separator=None):
    """JSON lines, or a table with this separator."""
    if separator is None:
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    else:
        lines = [separator.join(rows[0]), *(separator.join(row.values()) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


ROWS = [{"id": "1", "text": "eins"}, {"id": "2", "text": "zwei"}]


@pytest.mark.parametrize(("suffix", "separator"), [("jsonl", None), ("csv", ","), ("tsv", "\t")])
def test_files_of_any_form_pair_by_id_in_the_references_order(tmp_path, suffix, separator):
    said = write(tmp_path / f"ref.{suffix}", ROWS, separator)
    heard = write(tmp_path / "hyp.jsonl", [{"id": "2", "text": "drei"}, {"id": "1", "text": "eins"}])
    assert read_pairs(heard, said) == [Pair("1", "eins", "eins"), Pair("2", "zwei", "drei")]


@pytest.mark.parametrize(("suffix", "separator"), [("jsonl", None), ("csv", ","), ("tsv", "\t")])
def test_one_file_with_both(tmp_path, suffix, separator):
    rows = [{"reference": "a", "hypothesis": "b", "speaker": "anna"}]
    assert read_pairs(write(tmp_path / f"both.{suffix}", rows, separator), None) == [Pair("1", "a", "b", "anna")]


def test_predictions_alone_are_told_what_is_lacking(tmp_path):
    with pytest.raises(UserError, match=r"hyp\.jsonl:1: no field 'reference'; .*--references names the other file"):
        read_pairs(write(tmp_path / "hyp.jsonl", ROWS), None)


def test_numbers_are_ids_and_a_quote_in_a_tsv_is_text(tmp_path):
    said = write(tmp_path / "ref.jsonl", [{"id": 7, "text": 'sagt "ja'}])
    assert (
        read_pairs(write(tmp_path / "hyp.tsv", [{"id": "7", "text": 'sagt "ja'}], "\t"), said)[0].hypothesis
        == 'sagt "ja'
    )


@pytest.mark.parametrize(
    ("heard", "message"),
    [
        (ROWS[:1], r"hyp.jsonl: id 2 missing, which .*ref.jsonl has"),
        ([*ROWS, {"id": "3", "text": "x"}], r"hyp.jsonl: id 3, which .*ref.jsonl does not have"),
        ([*ROWS, ROWS[0]], r"hyp.jsonl:3: id 1 more than once \(id 1 in line 1 too\)"),
        ([{"id": "1"}, ROWS[1]], r"hyp.jsonl:1: no field 'text'; there are id"),
        ([ROWS[0], {"id": "2", "text": 3}], r"hyp.jsonl:2: text: 3 is no text; put it in quotes"),
        ([{"id": "1", "text": None}, ROWS[1]], r"hyp.jsonl:1: text: null is no text"),
        ([{"id": True, "text": "eins"}, ROWS[1]], r"hyp.jsonl:1: id: true is no text"),
        ([ROWS[0], {"id": "", "text": "zwei"}], r"hyp.jsonl:2: id: is empty; give each row one"),
    ],
)
def test_what_does_not_pair_is_named(tmp_path, heard, message):
    with pytest.raises(UserError, match=message):
        read_pairs(write(tmp_path / "hyp.jsonl", heard), write(tmp_path / "ref.jsonl", ROWS))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.jsonl", b'{"id": "1", "text": "a"}\n{"id"', r"x.jsonl:2: not JSON"),
        ("x.jsonl", b"[1]\n", r"x.jsonl:1: not a JSON object"),
        ("x.jsonl", b"", r"x.jsonl: no row in it, so that there is nothing to judge"),
        ("x.jsonl", b'{"id": "1", "text": "\xff"}', r"x.jsonl: not UTF-8"),
        ("x.csv", b"id,text\n1,a,b\n", r"x.csv:2: 2 columns in the head, 3 here; put double quotes around"),
        ("x.csv", b"id,text\n1,a\n2\n", r"x.csv:3: 2 columns in the head, 1 here"),
        ("x.csv", b"id;text\n1;a\n", r"x.csv:1: columns are not separated by commas: 'id;text'; use commas"),
        ("x.csv", b'id,text\n1,"a\n', r"x.csv:2: unexpected end of data; a text in double quotes ends with one"),
        ("x.tsv", b"id\ttext\n1\ta\tb\n", r"x.tsv:2: 2 columns in the head, 3 here; a tab separates columns"),
        ("x.csv", b"id,text,text\n1,a,b\n", r"x.csv:1: two columns are called 'text'; rename one of them"),
        ("x.jsonl", b'{"id": "1", "text": " "}', r"id 1 without a reference"),
    ],
)
def test_a_broken_file_is_one_message_with_its_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_pairs(tmp_path / name, tmp_path / name)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nothing.jsonl: no such file; give one of JSON lines"):
        read_pairs(tmp_path / "nothing.jsonl", None)
    with pytest.raises(UserError, match=r"is a folder; give a file of JSON lines"):
        read_pairs(tmp_path, None)


def test_nought_is_an_id_and_a_speaker(tmp_path):
    rows = [
        {"id": 0, "reference": "a", "hypothesis": "a", "speaker": 0},
        {"id": 1, "reference": "b", "hypothesis": "b", "speaker": 1},
    ]
    assert [(pair.id, pair.speaker) for pair in read_pairs(write(tmp_path / "x.jsonl", rows), None)] == [
        ("0", "0"),
        ("1", "1"),
    ]


def test_rows_of_one_file_have_all_an_id_or_none(tmp_path):
    rows = [{"reference": "a", "hypothesis": "a"}, {"reference": "b", "hypothesis": "b"}]
    assert [pair.id for pair in read_pairs(write(tmp_path / "x.jsonl", rows), None)] == ["1", "2"]
    with pytest.raises(UserError, match=r"x.jsonl:1: no field 'id'; there are reference, hypothesis"):
        read_pairs(write(tmp_path / "x.jsonl", [rows[0], {"id": "1"} | rows[1]]), None)


def test_two_recognisers_are_compared_on_the_same_utterances(tmp_path):
    one = [Pair("1", "a", "a"), Pair("2", "b", "x")]
    two = [Pair("2", "b", "b"), Pair("1", "a", "y")]
    assert [pair.id for pair in same_references(two, one, tmp_path / "2", tmp_path / "1")] == ["1", "2"]
    with pytest.raises(UserError, match=r"2: id 2 missing, which .*1 has"):
        same_references(two[1:], one, tmp_path / "2", tmp_path / "1")
    with pytest.raises(UserError, match="id 1 with another reference"):
        same_references([two[0], Pair("1", "z", "y")], one, tmp_path / "2", tmp_path / "1")
