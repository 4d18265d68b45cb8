"""As many entries as lines that hold something; a line that holds no object says so and leaves the others alone."""

import json
import tracemalloc

import pytest

from asr.corpora.json_lines import count_lines, json_lines
from asr.errors import UserError

ENTRIES = [{"text": 'Grüße, "北京"\u2028', "duration": 1.5}, {}, {"audio": {"path": "a.wav"}}]


def both(path) -> list:
    items = list(json_lines(path))
    assert count_lines(path) == len(items)
    return items


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("ascii", [True, False])
def test_what_was_written_comes_back(tmp_path, end, encoding, ascii):
    path = tmp_path / "m.jsonl"
    path.write_bytes(end.join(json.dumps(entry, ensure_ascii=ascii) for entry in ENTRIES).encode(encoding))
    assert both(path) == [(f"{path}:{number}", entry) for number, entry in enumerate(ENTRIES, 1)]


def test_lines_without_an_object_say_so(tmp_path):
    path = tmp_path / "m.jsonl"
    lines = ['{"a": 1}', "", '{"a": ', "[1]", "null", '"text"', 100_000 * "[", "{'a': 1}", '{"a": 2}', '{"text": "Lich']
    path.write_text("\n".join(lines), encoding="utf-8")
    items = both(path)
    assert [where.rpartition(":")[2] for where, _ in items] == [*"13456789", "10"]
    assert [entry for _, entry in items if isinstance(entry, dict)] == [{"a": 1}, {"a": 2}]
    wrong = [entry for _, entry in items if isinstance(entry, str)]
    assert [reason.startswith("not JSON: ") for reason in wrong] == [True, False, False, False, True, True, True]
    assert wrong[1:4] == ["not an object, but [1]", "not an object, but null", 'not an object, but "text"']


def test_a_line_cut_inside_a_letter_is_that_line_alone(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_bytes(
        '{"text": "мир"}\n{"text": "gr'.encode() + b'\xfcn"}\n{"text": 3}\n' + '{"text": "привет'.encode()[:-1]
    )
    assert both(path) == [
        (f"{path}:1", {"text": "мир"}),
        (f"{path}:2", 'not UTF-8, but {"text": "gr�n"}'),
        (f"{path}:3", {"text": 3}),
        (f"{path}:4", 'not UTF-8, but {"text": "приве�'),
    ]


def test_of_many_lines_the_last_is_broken(tmp_path):
    path = tmp_path / "m.jsonl"
    lines = "".join(f'{{"audio_filepath": "{i}.wav", "text": "Ein ganz gewöhnlicher Satz"}}\n' for i in range(999_999))
    path.write_bytes(lines.encode() + '{"audio_filepath": "x.wav", "text": "gewö'.encode()[:-1])
    del lines
    tracemalloc.start()
    kept, rejected, peak = 0, [], 0
    for where, entry in json_lines(path):
        if isinstance(entry, dict):
            kept += 1
        else:
            rejected.append(where)
        if kept == 50_000:  # to trace them all would take five times as long
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    assert (kept, rejected) == (999_999, [f"{path}:1000000"])
    assert count_lines(path) == 1_000_000
    assert 0 < peak < 5e6  # a line at a time


def test_an_empty_list_has_no_entries(tmp_path):
    (tmp_path / "m.jsonl").write_bytes(b"\n\n")
    assert both(tmp_path / "m.jsonl") == []


def test_a_list_that_cannot_be_read_is_said(tmp_path):
    with pytest.raises(UserError, match=r"m.jsonl: cannot be read \(No such file or directory\)"):
        list(json_lines(tmp_path / "m.jsonl"))
    (tmp_path / "m.jsonl").write_bytes('{"text": "Grüße"}\n'.encode("latin-1"))
    for walk in (json_lines, lambda path: [count_lines(path)]):
        with pytest.raises(UserError, match=r"m.jsonl: not UTF-8"):
            list(walk(tmp_path / "m.jsonl"))
