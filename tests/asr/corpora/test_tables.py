"""What was written as a table comes back, whatever its encoding; what is no row is marked, what is no table is said."""

import csv
import io

import pytest

from asr.corpora.tables import parse_table, table_rows
from asr.errors import UserError

ROWS = [
    {"path": "a.wav", "sentence": 'Er sagt: "Ja", und geht.'},
    {"path": "b.wav", "sentence": "'s ist, nun ja, |北京|"},
    {"path": "c.wav", "sentence": ""},
]


def written(rows: list[dict], delimiter: str, end: str = "\n", quoting: int = csv.QUOTE_MINIMAL) -> str:
    file = io.StringIO()
    quote = {"quotechar": None} if quoting == csv.QUOTE_NONE else {}
    table = csv.DictWriter(file, list(rows[0]), delimiter=delimiter, lineterminator=end, quoting=quoting, **quote)
    table.writeheader()
    table.writerows(rows)
    return file.getvalue()


def fields(path, delimiter="\t", quotes=False, columns=("path", "sentence"), **more) -> list[dict]:
    return [row.fields for row in table_rows(path, delimiter=delimiter, quotes=quotes, columns=columns, **more)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", "\t", "|"])
def test_a_quoted_table_comes_back(tmp_path, delimiter, end, encoding):
    rows = [*ROWS, {"path": "d.wav", "sentence": f'{delimiter}zwei{end}Zeilen{delimiter}"'}]
    (tmp_path / "t").write_bytes(written(rows, delimiter, end).encode(encoding))
    assert fields(tmp_path / "t", delimiter, quotes=True) == rows


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_without_quotes_comes_back(tmp_path, end):
    (tmp_path / "t").write_bytes(written(ROWS, "\t", end, csv.QUOTE_NONE).encode())
    assert fields(tmp_path / "t") == ROWS


def test_quotation_marks_are_text_where_they_do_not_enclose():
    lines = ["path\tsentence\n", 'a.wav\t"Ja", sagt er\n', 'b.wav\t"Nein\n']
    rows = parse_table(lines, "t", delimiter="\t", quotes=False, columns=())
    assert [row.fields["sentence"] for row in rows] == ['"Ja", sagt er', '"Nein']


def test_a_table_may_lack_its_header(tmp_path):
    (tmp_path / "t").write_text("a.wav|Eins\n", encoding="utf-8")
    assert fields(tmp_path / "t", "|", header=["path", "sentence"]) == [{"path": "a.wav", "sentence": "Eins"}]
    with pytest.raises(UserError, match=r"no column sentence; its header is \['path'\]"):
        fields(tmp_path / "t", "|", header=["path"])


def test_each_row_has_its_place_and_says_whether_it_is_whole():
    lines = ["path,sentence\n", "a,Eins\n", "\n", "b\n", '"c","zwei\n', 'Zeilen"\n', "d,x,y\n", "e,f\n"]
    rows = list(parse_table(lines, "t.csv", delimiter=",", quotes=True, columns=()))
    assert [(row.fields["path"], row.where, row.whole) for row in rows] == [
        ("a", "t.csv:2", True),
        ("b", "t.csv:4", False),
        ("c", "t.csv:6", True),
        ("d", "t.csv:7", False),
        ("e", "t.csv:8", True),
    ]
    assert rows[1].fields["sentence"] == ""
    assert rows[3].fields == {"path": "d", "sentence": "x"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no column path, sentence; its header is None"),
        ("path,sentence\na,b\n", r"no column path, sentence; .*the delimiter, which is '\\t'"),
        ("path\tSentence\n", r"no column sentence; its header is \['path', 'Sentence'\]"),
        (f"path\tsentence{10_000_001 * 'x'}\n", r"t.tsv:1: field larger than field limit.*mend or remove"),
    ],
    ids=["empty", "delimiter", "case", "long field"],
)
def test_what_is_no_table_is_said_with_the_remedy(tmp_path, content, message):
    (tmp_path / "t.tsv").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        fields(tmp_path / "t.tsv")


def test_a_quotation_mark_that_never_ends_is_said(tmp_path):
    (tmp_path / "t.csv").write_text('path,sentence\na,"Eins\nb,Zwei\n', encoding="utf-8")
    with pytest.raises(UserError, match=r"t.csv:3: unexpected end of data; mend or remove this line"):
        fields(tmp_path / "t.csv", ",", quotes=True)


@pytest.mark.parametrize("quotes", [False, True])
@pytest.mark.parametrize(
    ("line", "sentence"),
    [(b"c\tgr\xfcn\n", "gr\ufffdn"), (b"c\t" + 10_000_001 * b"x" + b"\n", "")],
    ids=["latin-1", "long field"],
)
def test_a_broken_line_is_a_row_that_is_not_whole(tmp_path, line, sentence, quotes):
    whole = "a\tgrün\n".encode()
    (tmp_path / "t.tsv").write_bytes(b"path\tsentence\n" + 2 * whole + b"\n" + line + 2 * whole)
    rows = list(table_rows(tmp_path / "t.tsv", delimiter="\t", quotes=quotes, columns=("path",)))
    assert [(row.where.rpartition(":")[2], row.whole) for row in rows] == [
        *(("2", True), ("3", True)),
        ("5", False),
        *(("6", True), ("7", True)),
    ]
    assert rows[2].fields["sentence"] == sentence
    assert rows[3].fields == {"path": "a", "sentence": "grün"}


@pytest.mark.parametrize("columns", ["path", "path,sentence"])
def test_a_quoted_line_that_is_wrong_or_cut_is_a_row_that_is_not_whole(columns):
    lines = [f"{columns}\n", '"a" b,Eins\n', '"c"\n', '"d']
    rows = list(parse_table(lines, "t.csv", delimiter=",", quotes=True, columns=()))
    assert [row.fields["path"] for row in rows] == ["", "c", ""]
    assert [row.whole for row in rows] == [False, columns == "path", False]


def test_a_long_text_is_a_text(tmp_path):
    (tmp_path / "t.tsv").write_text(f"path\tsentence\na\t{200_000 * 'x'}\n", encoding="utf-8")
    assert fields(tmp_path / "t.tsv") == [{"path": "a", "sentence": 200_000 * "x"}]


def test_a_header_in_another_encoding_is_said(tmp_path):
    (tmp_path / "t.tsv").write_bytes(b"path\tgr\xfcn\na\tb\n")
    with pytest.raises(UserError, match=r"t.tsv: not UTF-8 .*save it as UTF-8"):
        fields(tmp_path / "t.tsv", columns=("path",))
