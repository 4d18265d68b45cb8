"""What is written is read back as it was, and a transcript that is not whole is not there."""

import json

import pysubs2
import pytest

from asr.corpora.subtitles import _segments
from asr.segments import Segment, Word
from asr.transcripts import FORMATS, transcript_files

SEGMENTS = [
    Segment(0.0, 1.5, "Grüß Gott, 3 < 4 & 5 > 2."),
    Segment(1.5, 2.0004, "a --> b", (Word(1.5, 1.7, "a", 0.91), Word(1.7, 2.0, "b", None))),
    Segment(59.9996, 61.0, "00:01 --> 00:02"),
    Segment(3599.9999, 36_001.25, "1984"),
    Segment(350_000.0, 350_001.0, "你好"),
]


def write(folder, segments, **about):
    paths = {form: folder / f"a.{form}" for form in FORMATS}
    with transcript_files(paths) as files:
        for segment in segments:
            files.add(segment)
        files.end(**about)
    return paths


def test_text_is_a_segment_a_line(tmp_path):
    lines = write(tmp_path, SEGMENTS)["txt"].read_text(encoding="utf-8").splitlines()
    assert lines == [segment.text for segment in SEGMENTS]


@pytest.mark.parametrize("form", ["srt", "vtt"])
def test_subtitles_are_read_back(tmp_path, form):
    path = write(tmp_path, SEGMENTS)[form]
    events = pysubs2.SSAFile.load(str(path), encoding="utf-8").events
    times = [(round(segment.start * 1000), round(segment.end * 1000)) for segment in SEGMENTS]
    assert [(event.start, event.end) for event in events] == times
    assert path.read_text(encoding="utf-8").count("-->") == len(SEGMENTS)
    own = _segments(path, "de")  # as corpora of subtitled recordings are read
    texts = [segment.text.replace("-->", "->") if form == "srt" else segment.text for segment in SEGMENTS]
    assert [segment.text for segment in own] == texts


def test_json_has_segments_and_words(tmp_path):
    said = json.loads(write(tmp_path, SEGMENTS, language="de", seconds=2.5)["json"].read_text(encoding="utf-8"))
    assert [segment["text"] for segment in said["segments"]] == [segment.text for segment in SEGMENTS]
    assert said["segments"][1]["words"] == [
        {"start": 1.5, "end": 1.7, "word": "a", "probability": 0.91},
        {"start": 1.7, "end": 2.0, "word": "b", "probability": None},
    ]
    assert said["segments"][0]["words"] is None and said["language"] == "de" and said["seconds"] == 2.5


def test_an_empty_transcript_is_well_formed(tmp_path):
    paths = write(tmp_path, [], language=None)
    assert paths["txt"].read_text() == paths["srt"].read_text() == ""
    assert paths["vtt"].read_text() == "WEBVTT\n\n"
    assert json.loads(paths["json"].read_text()) == {"segments": [], "language": None}


def test_what_is_interrupted_is_not_there(tmp_path):
    (tmp_path / "a.txt").write_text("from before\n")
    with pytest.raises(KeyboardInterrupt), transcript_files({"txt": tmp_path / "a.txt"}) as files:
        files.add(SEGMENTS[0])
        assert (tmp_path / "a.txt.partial").read_text() == SEGMENTS[0].text + "\n"
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "from before\n"
