"""Lists as Whisper-Finetune documents them, and lines that are none."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from asr.corpora import Corpus, SpeakerHash, read_corpus
from asr.errors import UserError
from asr.recording import Recording
from asr.utterance import Rejected, Segment

LONGEST = {"train": 30.0, "dev": 30.0, "test": 30.0}


def open_corpus(path: Path, splits: dict[str, str] | None = None) -> Corpus:
    given = {"source": "s", "speakers": "s", "language": "de", "domain": "d"}
    by_clip = SpeakerHash(0, 0.2, 0.2, "by_clip")
    splits = splits or {"train": "dataset/train.json"}
    return read_corpus("whisper_finetune", by_clip, LONGEST, path=path, splits=splits, **given)


def read(path: Path, splits: dict[str, str] | None = None) -> list:
    corpus = open_corpus(path, splits)
    items = list(corpus.utterances)
    assert len(items) == corpus.rows
    return items


def make(path: Path, entries: Iterable[dict | str], encoding: str = "utf-8", end: str = "\n") -> Path:
    (path / "dataset").mkdir(parents=True, exist_ok=True)
    for name in ("0.wav", "1.wav"):
        (path / "dataset" / name).write_bytes(name.encode())
    lines = (entry if isinstance(entry, str) else json.dumps(entry, ensure_ascii=False) for entry in entries)
    (path / "dataset/train.json").write_bytes(end.join(lines).encode(encoding))
    return path


DOCUMENTED = {
    "audio": {"path": "dataset/0.wav"},
    "sentence": "近几年，不但我用书给女儿压岁，也劝说亲朋不要给女儿压岁钱，而改送压岁书。",
    "language": "Chinese",
    "sentences": [
        {"start": 0, "end": 1.4, "text": "近几年，"},
        {"start": 1.42, "end": 8.4, "text": "不但我用书给女儿压岁，也劝说亲朋不要给女儿压岁钱，而改送压岁书。"},
    ],
    "duration": 7.37,
}
NOBODY = {"audio": {"path": "dataset/1.wav"}, "sentence": "", "sentences": [], "duration": 2.5}


def test_the_documented_lines(tmp_path):
    speech, nobody = read(make(tmp_path, [DOCUMENTED, NOBODY]))
    assert (speech.id, speech.language, speech.seconds) == ("s/dataset/0.wav", "zh", 7.37)
    assert (speech.text, speech.speaker, speech.split) == (DOCUMENTED["sentence"], "", "train")
    assert speech.audio == Recording(tmp_path / "dataset/0.wav")
    assert speech.segments[0] == Segment(0, 1.4, "近几年，")
    assert (nobody.text, nobody.segments, nobody.language) == ("", (), "de")


def test_a_stretch_of_a_longer_file(tmp_path):
    audio = {"path": "dataset/0.wav", "start_time": 100.5, "end_time": 107.87}
    other = {"audio": {"path": "dataset/0.wav", "start_time": 0, "end_time": 3}, "sentence": "A", "speaker": "A"}
    first, second = read(make(tmp_path, [DOCUMENTED | {"audio": audio}, other]))
    assert (first.id, second.id) == ("s/dataset/0.wav#100.5-107.87", "s/dataset/0.wav#0-3")
    assert (first.audio.start, first.audio.end) == (100.5, 107.87)
    assert first.seconds == pytest.approx(7.37)
    assert first.segments[0] == Segment(0, 1.4, "近几年，")  # its times count from the stretch's start
    assert second.speaker == "s/A"


def test_stretches_with_one_start_have_ids_of_their_own(tmp_path):
    times = [(1, 3), (1, 3.5), (1, None), (None, 2), (None, 3), (None, None)]
    audios = [{"path": "dataset/0.wav", "start_time": start, "end_time": end} for start, end in times]
    items = read(make(tmp_path, [{"audio": audio, "sentence": "A"} for audio in audios]))
    ends = ("#1-3", "#1-3.5", "#1", "#0-2", "#0-3", "")
    assert [item.id for item in items] == [f"s/dataset/0.wav{end}" for end in ends]


def test_long_rows_are_cut_where_their_sentences_end(tmp_path):
    sentences = [{"start": 20 * i, "end": 20 * i + 19, "text": f"{i}"} for i in range(3)]
    audio = {"path": "dataset/0.wav", "start_time": 50, "end_time": 110}
    parts = list(
        open_corpus(make(tmp_path, [{"audio": audio, "sentence": "0 1 2", "sentences": sentences}])).utterances
    )
    assert [(part.audio.start, part.audio.end, part.text) for part in parts] == [
        (50, 69, "0"),
        (70, 89, "1"),
        (90, 109, "2"),
    ]


@pytest.mark.parametrize("sentence", [{}, {"sentence": None}, {"sentence": ""}])
@pytest.mark.parametrize(("language", "text"), [("German", "Ja. Nein."), ("zh", "Ja.Nein."), ("en-GB", "Ja. Nein.")])
def test_a_missing_sentence_is_joined_from_those_in_time(tmp_path, sentence, language, text):
    sentences = [{"start": 0, "end": 1, "text": "Ja. "}, {"start": 1, "end": 2, "text": "Nein."}]
    entry = {"audio": {"path": "dataset/0.wav"}, "sentences": sentences, "language": language}
    assert [item.text for item in read(make(tmp_path, [entry | sentence]))] == [text]


@pytest.mark.parametrize(
    ("given", "code"),
    [("Chinese", "zh"), ("german", "de"), ("ru", "ru"), ("Mandarin", "zh"), ("pt_BR", "pt"), ("", "de"), (None, "de")],
)
def test_languages_are_names_or_codes(tmp_path, given, code):
    assert [item.language for item in read(make(tmp_path, [DOCUMENTED | {"language": given}]))] == [code]


def test_recordings_are_seen_from_the_path_or_from_the_list(tmp_path):
    own = {"audio": {"path": "1.wav"}, "sentence": "A"}
    absolute = {"audio": {"path": str(tmp_path / "dataset/0.wav")}, "sentence": "B"}
    items = read(make(tmp_path, [own, absolute]))
    assert [item.id for item in items] == ["s/dataset/1.wav", "s/dataset/0.wav"]
    assert [item.id for item in read(tmp_path / "dataset", {"train": "train.json"})] == ["s/1.wav", "s/0.wav"]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"audio": {"path": "dataset/gone.wav"}, "sentence": "x"}, "missing_clip"),
        ({"audio": {"path": "dataset/0.WAV"}, "sentence": "x"}, "missing_clip"),
        ({"audio": {"path": "../../etc/passwd"}, "sentence": "x"}, "outside_corpus"),
        ({"audio": {"path": "/etc/passwd"}, "sentence": "x"}, "outside_corpus"),
        ({"audio": {"path": 300 * "x"}, "sentence": "x"}, "unreadable_audio"),
        ({"audio": "dataset/0.wav", "sentence": "x"}, "malformed_row"),
        ({"audio": {}, "sentence": "x"}, "malformed_row"),
        ({"sentence": "x"}, "malformed_row"),
        ({"audio": {"path": "dataset/0.wav"}}, "no_text"),
        ({"audio": {"path": "dataset/0.wav"}, "sentences": []}, "no_text"),
        (DOCUMENTED | {"language": "Klingon"}, "malformed_row"),
        (DOCUMENTED | {"sentence": ["A"]}, "malformed_row"),
        (DOCUMENTED | {"sentences": [{"start": 0, "text": "A"}]}, "malformed_row"),
        (DOCUMENTED | {"sentences": [{"start": -1, "end": 2, "text": "A"}]}, "malformed_row"),
        (DOCUMENTED | {"duration": "7s"}, "malformed_row"),
        (DOCUMENTED | {"audio": {"path": "dataset/0.wav", "start_time": 5, "end_time": 5}}, "malformed_row"),
        ('{"audio": {"path": "dataset/0.wav"}, "sent', "malformed_row"),
        ("7", "malformed_row"),
    ],
)
def test_a_row_that_is_no_utterance_is_rejected_and_the_others_are_not(tmp_path, entry, reason):
    good, rejected = read(make(tmp_path, [NOBODY, "", entry]))
    assert good.id == "s/dataset/1.wav"
    assert isinstance(rejected, Rejected)
    assert rejected.reason == reason
    assert "dataset/train.json:3: " in rejected.detail


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_windows_line_ends_quotes_and_tabs(tmp_path, encoding):
    quoted = NOBODY | {"sentence": 'Er sagt:\t"Größe",\u2028und\x85geht.'}
    expected = read(make(tmp_path, [DOCUMENTED, quoted]))
    assert expected[1].text == quoted["sentence"]
    assert read(make(tmp_path, [DOCUMENTED, quoted], encoding, "\r\n")) == expected


def test_splits(tmp_path):
    lines = [
        {"audio": {"path": "dataset/0.wav", "start_time": i, "end_time": i + 1}, "sentence": "A"} for i in range(50)
    ]
    corpus = open_corpus(make(tmp_path, lines), {"speaker": "dataset/train.json"})
    assert corpus.promised == ("train", "dev", "test")
    items = list(corpus.utterances)
    assert len({item.id for item in items}) == 50
    assert {item.split for item in items} == {"train", "dev", "test"}


def test_what_the_user_can_mend(tmp_path):
    make(tmp_path, [])
    for splits, message in (
        ({"dev": "gone.json"}, "gone.json: no such"),
        ({"dev": "../x.json"}, r"\.\./x.json: outside"),
    ):
        with pytest.raises(UserError, match=message):
            open_corpus(tmp_path, splits)
    with pytest.raises(UserError, match="nowhere: no such file or folder; correct the source's path"):
        open_corpus(tmp_path / "nowhere")
    (tmp_path / "dataset/train.json").write_bytes("Größe".encode("latin-1"))
    with pytest.raises(UserError, match=r"train.json: not UTF-8"):
        open_corpus(tmp_path)
