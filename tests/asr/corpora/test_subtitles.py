"""A recording beside its subtitles is one utterance, cut where cues end."""

from pathlib import Path

import pytest

from asr.corpora import Corpus, SpeakerHash, read_corpus
from asr.errors import UserError
from asr.recording import Recording
from asr.utterance import Rejected, Segment

LONGEST = {"train": 30.0, "dev": 30.0, "test": 30.0}
SRT = "1\n00:00:01,000 --> 00:00:02,500\nGuten Tag.\n\n2\n00:00:03,000 --> 00:00:04,250\nWie geht\nes Ihnen?\n"
VTT = "WEBVTT\n\n00:01.000 --> 00:02.500\nGuten Tag.\n\n00:03.000 --> 00:04.250\nWie geht\nes Ihnen?\n"
# From the first cue's start: what is before it and after the last one nobody has transcribed.
SEGMENTS = (Segment(0.0, 1.5, "Guten Tag."), Segment(2.0, 3.25, "Wie geht es Ihnen?"))
STRETCH = "#1.00-4.25"


def open_corpus(path: Path, splits: dict[str, str] | None = None, language: str = "de") -> Corpus:
    by_clip = SpeakerHash(0, 0.2, 0.2, "by_clip")
    given = {
        "source": "s",
        "speakers": "s",
        "language": language,
        "domain": "d",
        "splits": splits or {"train": "train"},
    }
    return read_corpus("subtitles", by_clip, LONGEST, path=path, **given)


def read(path: Path, splits: dict[str, str] | None = None, language: str = "de") -> list:
    corpus = open_corpus(path, splits, language)
    items = list(corpus.utterances)
    assert len(items) == corpus.rows
    return items


def put(path: Path, *names: str, text: str | bytes = SRT) -> Path:
    """Files below `path`: subtitles hold `text`, recordings a few bytes."""
    for name in names:
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        text_bytes = text if isinstance(text, bytes) else text.encode()
        file.write_bytes(text_bytes if file.suffix.lower() in (".srt", ".vtt") else b"x")
    return path


def texts(path: Path, text: str | bytes, ending: str = "srt", language: str = "de") -> list[str]:
    """The texts of the cues of one file of subtitles."""
    (item,) = read(put(path, "train/a.mp4", f"train/a.{ending}", text=text), language=language)
    return [item.reason] if isinstance(item, Rejected) else [segment.text for segment in item.segments]


@pytest.mark.parametrize(
    ("ending", "text"),
    [("srt", SRT), ("vtt", VTT), ("de.srt", SRT), ("de-AT.vtt", VTT), ("deu.srt", SRT), ("SRT", SRT)],
)
def test_srt_and_vtt_give_the_same(tmp_path, ending, text):
    (item,) = read(put(tmp_path, "train/talks/a.mp4", f"train/talks/a.{ending}", text=text))
    assert (item.id, item.speaker) == (f"s/train/talks/a.mp4{STRETCH}", "s/train/talks/a.mp4")
    assert item.audio == Recording(tmp_path / "train/talks/a.mp4", start=1.0, end=4.25)
    assert (item.segments, item.text) == (SEGMENTS, "Guten Tag. Wie geht es Ihnen?")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(tmp_path, encoding, end):
    text = SRT.replace("Tag", "Größe").replace("\n", end).encode(encoding)
    assert texts(tmp_path, text) == ["Guten Größe.", "Wie geht es Ihnen?"]


def cue(text: str, number: int = 1) -> str:
    return f"{number}\n00:00:0{number},000 --> 00:00:0{number},900\n{text}\n\n"


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("{\\an8}Oben", "Oben"),
        ("<i>Schräg</i> und <b>fett</b>", "Schräg und fett"),
        ('<font color="#ffff00">Gelb</font>', "Gelb"),
        ("Tom &amp; Tina", "Tom & Tina"),
        ("3 < 5", "3 < 5"),
        ('Er sagt:\t"Ja"', 'Er sagt: "Ja"'),
        ("Erste\n\nzweite nach einer leeren", "Erste zweite nach einer leeren"),
        ("Es war\n1984", "Es war 1984"),
        ("1984", "1984"),
    ],
)
def test_what_a_cue_says(tmp_path, written, spoken):
    assert texts(tmp_path, cue(written, 1) + cue("Ende", 2)) == [spoken, "Ende"]
    assert texts(tmp_path, cue("Anfang", 1) + cue(written, 2)) == ["Anfang", spoken]


def test_cues_without_numbers_or_without_empty_lines_between_them(tmp_path):
    assert texts(tmp_path, "00:00:01,000 --> 00:00:02,000\nEs war\n1984\n\n00:00:03,000 --> 00:00:04,000\nB\n") == [
        "Es war 1984",
        "B",
    ]
    assert texts(tmp_path, "1\n00:00:01,000 --> 00:00:02,000\nA\n2\n00:00:03,000 --> 00:00:04,000\nB") == ["A", "B"]
    assert texts(tmp_path, "1\n00:00:01,000 --> 00:00:02,000\n\n2\n00:00:03,000 --> 00:00:04,000\nB") == ["B"]


def test_of_webvtt_only_the_cues_are_text(tmp_path):
    text = """WEBVTT - Titel
Kind: captions

STYLE
::cue { color: red }

NOTE eine Bemerkung
über zwei Zeilen

intro-1
00:01.000 --> 00:02.000 align:start position:0%
<v Anna Meier>Es war<00:00:01.200><c> im</c><00:00:01.500><c.gelb> Jahr</c>
1984

NOTE noch eine

00:01:03.000 --> 00:01:04.000
Punkt &lt;b&gt;
"""
    (first, second) = open_corpus(put(tmp_path, "train/a.mp4", "train/a.vtt", text=text)).utterances
    assert (first.text, first.audio.start, first.audio.end) == ("Es war im Jahr 1984", 1, 2)
    assert (second.text, second.audio.start, second.audio.end) == ("Punkt <b>", 63, 64)


def test_lines_are_joined_as_the_language_writes_them(tmp_path):
    (item,) = read(
        put(tmp_path, "train/a.mp4", "train/a.srt", text=cue("近几年，\n不但", 1) + cue("我", 2)), language="zh"
    )
    assert (item.text, item.segments[0].text) == ("近几年，不但我", "近几年，不但")


def test_cues_are_sorted_and_long_recordings_cut(tmp_path):
    times = [(40, 55), (0, 14), (15, 29.5)]
    text = "".join(
        f"{i}\n00:00:{a:06.3f} --> 00:00:{b:06.3f}\nvon {a}\n\n".replace(".", ",") for i, (a, b) in enumerate(times, 1)
    )
    first, second = open_corpus(put(tmp_path, "train/a.wav", "train/a.srt", text=text)).utterances
    assert (first.text, first.audio.start, first.audio.end) == ("von 0 von 15", 0, 29.5)
    assert (second.text, second.audio.start, second.audio.end) == ("von 40", 40, 55)
    assert {first.speaker, second.speaker} == {"s/train/a.wav"}


def test_each_with_its_own_and_what_is_alone_is_rejected(tmp_path):
    put(
        tmp_path,
        "train/a.mp4",
        "train/a.srt",
        "train/x/a.mkv",
        "train/x/a.en.vtt",
        "train/silent.opus",
        "train/gone.srt",
    )
    put(tmp_path, "train/b.wav", "train/b.de.wav", "train/b.de.srt", "train/._a.mp4", "train/cover.jpg")
    items = read(tmp_path)
    assert {item.id.removeprefix("s/train/"): getattr(item, "reason", "") for item in items} == {
        f"a.mp4{STRETCH}": "",
        "x/a.mkv": "no_text",  # its subtitles are English
        "silent.opus": "no_text",
        "gone.srt": "missing_clip",
        "b.wav": "no_text",
        f"b.de.wav{STRETCH}": "",
    }
    assert len({item.id for item in items}) == len(items)
    assert [item.id for item in items] == sorted(item.id for item in items)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no_text"),
        ("WEBVTT\n", "no_text"),
        (cue("<i></i>") + cue("", 2), "no_text"),
        ("Guten Tag.\n", "malformed_row"),
        ("1\n00:00:01 --> bald\nA\n", "malformed_row"),
        (SRT + "\n3\n00:00:05,000 -->\nabgeschnitten", "malformed_row"),
        ("Größe".encode("latin-1"), "malformed_row"),
        (b"\xff\xfe\x00", "malformed_row"),
        (bytes(range(256)), "malformed_row"),
    ],
)
@pytest.mark.parametrize("ending", ["srt", "vtt"])
def test_subtitles_that_are_none(tmp_path, text, reason, ending):
    assert texts(tmp_path, text, ending) == [reason]


def test_all_endings_of_recordings(tmp_path):
    endings = ["wav", "mp3", "flac", "ogg", "opus", "m4a", "mp4", "mkv", "webm", "mov", "avi", "aac", "MP4"]
    for i, ending in enumerate(endings):
        put(tmp_path, f"train/{i}.{ending}", f"train/{i}.srt")
    assert all(item.segments == SEGMENTS for item in read(tmp_path))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a.mp4", "a.srt", "a.vtt"), "subtitles a.srt, a.vtt belong together; keep one"),
        (("a.mp4", "a.de.srt", "a.de.vtt", "a.en.srt"), "subtitles a.de.srt, a.de.vtt belong together; keep one"),
        (("a.mp3", "a.mp4", "a.srt"), "recordings a.mp3, a.mp4 belong together; keep one"),
    ],
)
def test_two_of_a_kind(tmp_path, names, message):
    with pytest.raises(UserError, match=message):
        open_corpus(put(tmp_path, *(f"train/{name}" for name in names)))


@pytest.mark.parametrize(
    ("endings", "taken"),
    [
        (("de.srt", "en.srt", "srt"), "de.srt"),
        (("en.srt", "srt"), "srt"),
        (("en.srt", "fr.vtt", "de-CH.srt"), "de-CH.srt"),
        (("en.srt", "sdh.srt"), "sdh.srt"),
        (("en.srt", "pt-BR.srt"), None),
    ],
)
def test_of_several_languages_the_sources_own(tmp_path, endings, taken):
    put(tmp_path, "train/a.mp4")
    for ending in endings:
        put(tmp_path, f"train/a.{ending}", text=cue(f"Aus {ending}"))
    (item,) = read(tmp_path)
    assert (item.reason == "no_text") if taken is None else (item.text == f"Aus {taken}")


def test_splits(tmp_path):
    for split in ("train", "test"):
        put(tmp_path, f"{split}/a.mp4", f"{split}/a.srt")
    items = read(tmp_path, {"train": "train", "test": "test"})
    assert [(item.id, item.split) for item in items] == [
        (f"s/test/a.mp4{STRETCH}", "test"),
        (f"s/train/a.mp4{STRETCH}", "train"),
    ]
    corpus = open_corpus(tmp_path, {"speaker": "."})
    assert corpus.promised == ("train", "dev", "test")
    assert [item.id for item in corpus.utterances] == [f"s/{split}/a.mp4{STRETCH}" for split in ("test", "train")]
    with pytest.raises(UserError, match="nowhere: no such file or folder; correct"):
        open_corpus(tmp_path, {"train": "nowhere"})
    with pytest.raises(UserError, match=r"\.\./b: outside of"):
        open_corpus(tmp_path, {"train": "../b"})
