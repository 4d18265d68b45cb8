"""A row is an utterance or says why it is none, whatever the table's delimiter, quoting and coding."""

from pathlib import Path

import pytest

from asr.corpora import Corpus, SpeakerHash, read_corpus
from asr.errors import UserError
from asr.recording import Recording
from asr.utterance import Rejected, Utterance

SHARED = Path(__file__).parents[3].parent / "shared" / "data"


def open_corpus(path: Path, **fields) -> Corpus:
    names = {"source": "s", "speakers": "v", "language": "de", "domain": "d", "path": path}
    speaker_hash = SpeakerHash(0, 0.2, 0.2, "by_clip")
    longest = {"train": 30.0, "dev": 30.0, "test": 30.0}
    return read_corpus("table", speaker_hash, longest, **({"splits": {"train": "t.csv"}} | names | fields))


def read(path: Path, **fields) -> list:
    corpus = open_corpus(path, **fields)
    items = list(corpus.utterances)
    assert (corpus.rows, corpus.exact) == (len(items), True)
    return items


def make(folder: Path, table: str | bytes, name: str = "t.csv", clips: str = "abc") -> Path:
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    for clip in clips:
        (folder / "clips" / f"{clip}.wav").write_bytes(clip.encode())
    (folder / name).write_bytes(table if isinstance(table, bytes) else table.encode())
    return folder


def texts(items: list) -> list[str]:
    return [item.text for item in items]


def test_a_row_becomes_an_utterance(tmp_path):
    make(tmp_path, "id,file,text,who,lang,topic\n1,a,Eins,A,,\n2,b,Two,,English,news\n")
    columns = {"audio_column": "file", "text_column": "text", "audio_dir": "clips", "audio_suffix": ".wav"}
    optional = {"speaker_column": "who", "language_column": "lang", "domain_column": "topic"}
    first, second = read(tmp_path, **columns, **optional)
    clips = tmp_path / "clips"
    assert first == Utterance("s/a", Recording(clips / "a.wav"), "Eins", "de", "v/A", "s", "d", "train")
    assert second == Utterance("s/b", Recording(clips / "b.wav"), "Two", "en", "", "s", "news", "train")


SENTENCES = ["Er sagt: Ja", 'Sie "fragt"', "eins, zwei", "ein\tTab", "naïve — ß"]


@pytest.mark.parametrize("delimiter", [",", "\t", "|", ";"])
@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_sentences_come_back_from_every_form_of_a_quoted_table(tmp_path, delimiter, coding, end):
    rows = [("path", "sentence"), *[("clips/a.wav", sentence) for sentence in SENTENCES]]
    quoted = ['"{}"{}"{}"'.format(path, delimiter, text.replace('"', '""')) for path, text in rows]
    make(tmp_path, (end.join(quoted) + end).encode(coding))
    assert texts(read(tmp_path, delimiter=delimiter)) == SENTENCES


def test_without_quoting_a_quotation_mark_is_text(tmp_path):
    make(tmp_path, 'path\tsentence\nclips/a.wav\t"Ja", sagt er\nclips/b.wav\t„Nein"\n')
    assert texts(read(tmp_path, delimiter="\t", quotes=False)) == ['"Ja", sagt er', '„Nein"']


def test_a_quoted_sentence_may_span_lines(tmp_path):
    make(tmp_path, 'path,sentence\nclips/a.wav,"eins\nzwei"\nclips/b.wav,drei\n')
    assert texts(read(tmp_path)) == ["eins\nzwei", "drei"]


def test_a_table_without_a_header_takes_the_given_one(tmp_path):
    make(tmp_path, "clips/a.wav|Eins\nclips/b.wav|Zwei\n")
    assert texts(read(tmp_path, delimiter="|", header=["path", "sentence"])) == ["Eins", "Zwei"]


def test_splits_come_test_first_and_are_promised(tmp_path):
    for split, clip in (("train", "a"), ("dev", "b"), ("test", "c")):
        make(tmp_path, f"path,sentence\nclips/{clip}.wav,x\n", f"{split}.csv")
    splits = {split: f"{split}.csv" for split in ("train", "dev", "test")}
    assert [item.split for item in read(tmp_path, splits=splits)] == ["test", "dev", "train"]
    assert open_corpus(tmp_path, splits=splits).promised == ("test", "dev", "train")
    divided = read(tmp_path, splits={"speaker": "train.csv", "test": "test.csv"})
    assert [item.id for item in divided] == ["s/clips/c.wav", "s/clips/a.wav"]
    assert set(open_corpus(tmp_path, splits={"speaker": "train.csv"}).promised) == {"train", "dev", "test"}


def test_what_is_no_utterance_is_rejected_with_its_reason(tmp_path):
    rows = {
        "clips/a.wav,Eins": "",
        "clips/b.wav,": "",  # the shared checks say what no sentence means
        "clips/gone.wav,Zwei": "missing_clip",
        "clips/A.wav,other case": "missing_clip",
        "clips,a folder": "missing_clip",
        "../../etc/passwd,x": "outside_corpus",
        "/etc/passwd,x": "outside_corpus",
        "..\\t.csv,x": "outside_corpus",
        "clips/../../x.wav,x": "outside_corpus",
        f"{300 * 'x'},x": "unreadable_audio",
        "clips/a.wav": "malformed_row",
        "clips/a.wav,eins, zwei": "malformed_row",
        ",Eins": "malformed_row",
        '" "\0,x': "outside_corpus",
    }
    items = read(make(tmp_path, "path,sentence\n" + "\n".join(rows) + "\n"), quotes=False)
    assert [item.reason if isinstance(item, Rejected) else "" for item in items] == list(rows.values())
    assert all(f"t.csv:{line}: " in item.detail for line, item in enumerate(items, 2) if hasattr(item, "detail"))
    assert items[-2].id == "s/t.csv:14"


def test_an_absolute_path_inside_of_the_corpus_is_as_good_as_a_relative_one(tmp_path):
    make(tmp_path, f"path,sentence\n{tmp_path}/clips/a.wav,Eins\nclips/../clips/a.wav,Zwei\n")
    assert [item.audio for item in read(tmp_path)] == 2 * [Recording(tmp_path / "clips" / "a.wav")]


def test_a_path_with_two_dots_may_name_the_corpus(tmp_path, monkeypatch):
    make(tmp_path / "corpus", "path,sentence\nclips/a.wav,Eins\n")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert texts(read(Path("../corpus"))) == ["Eins"]


def test_an_index_as_pandas_writes_it_is_no_speaker(tmp_path):
    (item,) = read(make(tmp_path, ",path,sentence\n0,clips/a.wav,Eins\n"))
    assert (item.speaker, item.language, item.domain) == ("", "de", "d")


def test_a_language_that_nobody_knows_is_said(tmp_path):
    (item,) = read(make(tmp_path, "path,sentence,l\nclips/a.wav,x,Elvish\n"), language_column="l")
    assert (item.reason, "'Elvish'" in item.detail) == ("malformed_row", True)


@pytest.mark.parametrize(
    "line",
    [b"clips/a.wav,gr\xfcn", b"clips/a.wav," + 10_000_001 * b"x", b'clips/a.wav,"x'],
    ids=["latin-1", "long", "cut"],
)
def test_a_broken_line_is_rejected_and_the_others_are_not(tmp_path, line):
    good, rejected = read(make(tmp_path, b"path,sentence\nclips/a.wav,Eins\n" + line))
    assert (good.text, rejected.reason) == ("Eins", "malformed_row")
    assert rejected.detail.startswith("t.csv:3: ")


@pytest.mark.parametrize(
    ("table", "fields", "message"),
    [
        ("path,text\n", {}, r"t.csv: no column sentence; its header is \['path', 'text'\]"),
        ("path,sentence\n", {"speaker_column": "who"}, "t.csv: no column who"),
        ("path;sentence\n", {}, "no column path, sentence.*the delimiter, which is ','"),
        ("", {}, "t.csv: no column path, sentence"),
        (b"path,sentence,\xff\nclips/a.wav,x,y\n", {}, "t.csv: not UTF-8"),
        ('path,sentence\nclips/a.wav,"x\nclips/a.wav,y\n', {}, "t.csv:3: unexpected end of data"),
        ("path,sentence\n", {"splits": {"dev": "dev.csv"}}, "dev.csv: no such file.*source's splits"),
        ("path,sentence\n", {"splits": {"dev": "clips"}}, "clips: cannot be read"),
        ("path,sentence\n", {"audio_dir": "wavs"}, "wavs: no such file or folder; correct the source's audio_dir"),
        ("path,sentence\n", {"audio_dir": "/etc"}, "audio_dir /etc lies outside"),
        ("path,sentence\n", {"path": Path("/nowhere")}, "/nowhere: no such file or folder; correct the source's path"),
    ],
)
def test_what_the_user_can_mend(tmp_path, table, fields, message):
    with pytest.raises(UserError, match=message):
        make(tmp_path, table)
        open_corpus(**({"path": tmp_path} | fields))


def test_real_recordings():
    path = SHARED / "common_voice_de"
    if not path.is_dir():
        pytest.skip(f"no real recordings in {SHARED}")
    columns = {"audio_dir": "clips", "speaker_column": "client_id", "language_column": "locale"}
    items = read(path, splits={"speaker": "validated.tsv"}, delimiter="\t", quotes=False, **columns)
    assert len({item.id for item in items}) == 100
    assert all(isinstance(item, Utterance) and item.speaker and item.language == "de" for item in items)
