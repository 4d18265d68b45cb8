"""The card of the data: the same whatever the order, no larger than it may be, and harmless whatever the data says."""

import csv
import random
from html.parser import HTMLParser

import numpy as np
import pytest

from asr.audio import encode_flac
from asr.card import MAX_VALUES, SAMPLED, Card
from asr.card.samples import MAX_BYTES, Counts, Sample
from asr.tally import Tally
from asr.utterance import Rejected, Utterance

EVIL = "<script>alert(1)</script> </audio> \"'> a|b `c` *d* \\ & \nnext"
FLAC = encode_flac(np.zeros(1600, dtype=np.float32))
FILES = ("card.html", "card.md", "characters_a_second.csv", "durations.csv")


def utterance(number: int, **changes) -> Utterance:
    fields = {
        "id": f"a/{number}",
        "audio": FLAC,
        "text": "Ja. " * (number % 7 + 1),
        "language": "de",
        "speaker": f"a/{number % 9}",
        "source": "a",
        "domain": f"domain {number % 3}",
        "split": ("train", "train", "dev", "test")[number % 4],
        "seconds": 0.31 + number % 13 + number / 1000,
        "origin": f"origin {number % 5}",
    }
    return Utterance(**fields | changes)


def rejected(number: int, **changes) -> Rejected:
    fields = {"id": f"a/r{number}", "source": "a", "split": "train", "speaker": "", "reason": "silent", "detail": "why"}
    return Rejected(**fields | changes)


def write(folder, items, licences=None) -> dict[str, bytes]:
    """The files of the card of these utterances and rejections, in this order."""
    card, tally = Card(licences or {"a": "CC0"}), Tally(["a"])
    for item in items:
        tally.count(item)
        if isinstance(item, Rejected):
            card.rejected(item.row() | {"audio": item.audio})
        else:
            card.kept(item.row())
    card.write(folder, tally.table)
    assert tuple(sorted(path.name for path in folder.iterdir())) == FILES
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class Page(HTMLParser):
    """Tags with their attributes, and the text outside of them; whether each that was opened was closed again."""

    def __init__(self, page: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]


MIXED = [
    *(utterance(n) for n in range(300)),
    *(
        rejected(n, reason=reason)
        for reason, rows in {"silent": 90, "too_long": 30, "no_text": 2}.items()
        for n in range(rows)
    ),
    *(rejected(7, detail="the same id", audio=audio) for audio in (FLAC, b"OggS", b"", FLAC)),
]


def test_the_order_of_the_rows_changes_no_byte(tmp_path):
    first = write(tmp_path / "0", MIXED)
    for seed in range(1, 4):
        assert write(tmp_path / str(seed), random.Random(seed).sample(MIXED, len(MIXED))) == first


@pytest.mark.parametrize("file", ["durations.csv", "characters_a_second.csv"])
def test_every_utterance_is_in_a_histogram_once(tmp_path, file):
    rows = [*(utterance(n) for n in range(300)), utterance(300, text="", split="train"), utterance(301, seconds=599.99)]
    write(tmp_path, rows)
    with (tmp_path / file).open(encoding="utf-8") as opened:
        bins = list(csv.DictReader(opened))
    assert [int(bin[file.removesuffix(".csv").replace("durations", "seconds")]) for bin in bins] == list(
        range(len(bins))
    )
    assert sum(int(bin["utterances"]) for bin in bins) == len(rows)
    for split in ("train", "dev", "test"):
        assert sum(int(bin[split]) for bin in bins) == sum(row.split == split for row in rows)


def test_an_utterance_is_counted_in_its_second(tmp_path):
    files = write(
        tmp_path, [utterance(0, seconds=2.0, text="Guten Tag!"), utterance(1, seconds=1.99, text="Guten Tag!")]
    )
    assert files["durations.csv"] == b"seconds,utterances,train,dev,test\n0,0,0,0,0\n1,1,1,0,0\n2,1,1,0,0\n"
    assert files["characters_a_second.csv"].endswith(b"\n3,0,0,0,0\n4,2,2,0,0\n")


def test_no_more_than_fifty_rows_are_held():
    sample = Sample(SAMPLED)
    for number in range(3000):
        sample.add({"audio": b"", "number": number}, "abc"[number % 3], str(number))
        assert len(sample.rows) == min(number + 1, SAMPLED)


def test_each_reason_has_its_share():
    sample = Sample(10)
    for group, rows in {"often": 5000, "seldom": 4, "once": 1}.items():
        for number in range(rows):
            sample.add({"audio": b"", "group": group}, group, f"{group}{number}")
    groups = [row["group"] for row in sample.rows]
    assert {group: groups.count(group) for group in groups} == {"often": 5, "seldom": 4, "once": 1}


def test_more_reasons_than_rows():
    samples = [Sample(5), Sample(5)]
    for sample, order in zip(samples, (1, -1), strict=True):
        for number in range(100)[::order]:
            sample.add({"audio": b"", "group": number % 20}, f"{number % 20:02}", str(number))
    assert samples[0].rows == samples[1].rows
    assert [row["group"] for row in samples[0].rows] == [0, 1, 2, 3, 4]


def test_a_column_that_differs_in_each_row_fills_no_memory():
    orders = [random.Random(seed).sample(range(2000), 2000) for seed in (0, 1)]
    tables = []
    for order in orders:
        counts = Counts(MAX_VALUES)
        for number in order * 2:
            counts.add(f"origin {number}", 1800)
            assert len(counts._cells) <= MAX_VALUES and len(counts._largest) <= MAX_VALUES
        tables.append(counts.table())
    assert tables[0] == tables[1]
    assert tables[0][-1] == ("others", 2 * (2000 - MAX_VALUES), pytest.approx((2000 - MAX_VALUES) / 1000))
    assert all(utterances == 2 for _, utterances, _ in tables[0][:-1])


def test_counts_by_value():
    counts = Counts(MAX_VALUES)
    for value, seconds in (("de", 1800), ("ru", 900), ("de", 1800), ("", 36)):
        counts.add(value, seconds * 1000)
    assert counts.table() == [("de", 2, 1.0), ("not told", 1, 0.01), ("ru", 1, 0.25)]


def test_what_no_row_tells_has_no_table(tmp_path):
    told, untold = (write(tmp_path / f"_{origin}", [utterance(0, origin=origin)]) for origin in ("MLS", ""))
    for name in ("card.html", "card.md"):
        assert b"By origin" in told[name] and b"By origin" not in untold[name] and b"By domain" in untold[name]


def test_nothing_from_the_data_is_markup(tmp_path):
    fields = dict.fromkeys(("id", "text", "language", "speaker", "domain", "origin"), EVIL)
    files = write(
        tmp_path,
        [utterance(0, **fields), rejected(0, id=EVIL, reason=EVIL, detail=EVIL, audio=FLAC)],
        licences={"a": EVIL},
    )
    for name in ("card.html", "card.md"):
        text = files[name].decode()
        assert "<script" not in text and "alert(1)" in text
    page = Page(files["card.html"].decode())
    assert not page.all("script")
    assert len(page.all("audio")) == files["card.html"].count(b"</audio>") == 2
    assert EVIL.splitlines()[0] in page.text
    rows = [line for line in files["card.md"].decode().splitlines() if "alert" in line]
    assert rows and all(line.startswith("| ") and line.endswith(" |") for line in rows)
    assert all(r"a\|b \`c\` \*d\* \\ &amp; next" in line for line in rows)


def test_markdown_tables_have_one_width(tmp_path):
    widths = []
    for line in write(tmp_path, [utterance(0, text=EVIL), *MIXED[1:]])["card.md"].decode().splitlines():
        widths.append(line.replace(r"\\", "").replace(r"\|", "").count("|"))
    tables = " ".join(map(str, widths)).split(" 0 ")
    assert len([table for table in tables if len(set(table.split()) - {"0"}) == 1]) == 6
    assert all(len(set(table.split()) - {"0"}) <= 1 for table in tables)


def test_text_that_is_no_unicode_can_be_written(tmp_path):
    files = write(tmp_path, [utterance(0, id="a/\udcff.mp3"), rejected(0, id="a/\udcfe", detail="\ud800")])
    assert all(rb"\udcff" in files[name] for name in ("card.html", "card.md"))


def test_the_page_needs_nothing_but_itself(tmp_path):
    page = Page(write(tmp_path, MIXED)["card.html"].decode())
    links = {value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href")}
    assert {link for link in links if not link.startswith("data:audio/")} == {
        "durations.csv",
        "characters_a_second.csv",
    }
    assert not page.all("script") and not page.all("link")
    assert len(page.all("audio")) >= SAMPLED and len(page.all("svg")) == 2


@pytest.mark.parametrize(
    ("audio", "shown"),
    [
        (FLAC, "data:audio/flac;"),
        (b"RIFF\x24\0\0\0WAVE", "data:audio/wav;"),
        (b"OggS\0", "data:audio/ogg;"),
        (b"ID3\x04", "data:audio/mpeg;"),
        (b"\xff\xfb\x90\x64", "data:audio/mpeg;"),
        (b"\0\0\0\x20ftypM4A ", "data:audio/mp4;"),
        (b"\x1aE\xdf\xa3", "data:audio/webm;"),
        (b"", "no recording"),
        (b"\xff", "1 bytes that are no recording of a known format"),
        (b"<html>404", "9 bytes that are no recording of a known format"),
        (b"fLaC".ljust(MAX_BYTES + 1, b"\0"), "recording of 1.0 MB, too large for this page"),
    ],
)
def test_a_rejected_recording_is_played_or_why_not(tmp_path, audio, shown):
    page = Page(write(tmp_path, [utterance(0), rejected(0, audio=audio)])["card.html"].decode())
    players = page.all("audio")[1:]
    if shown.startswith("data:"):
        assert len(players) == 1 and players[0]["src"].startswith(shown) and players[0]["preload"] == "none"
    else:
        assert not players and shown in page.text


def test_a_recording_too_large_for_the_page_is_not_held():
    sample = Sample(2)
    sample.add({"audio": b"\0" * (MAX_BYTES + 1)}, "", "long")
    assert sample.rows == [{"audio": b"", "bytes": MAX_BYTES + 1}]


def test_counts_licences_and_reasons_are_shown(tmp_path):
    card = Card({"aishell": "Apache-2.0"})
    cell = {"in": 1300, "kept": 1234, "rejected": {"too_short": 66}, "hours": 1.5, "speakers": 7}
    card.write(tmp_path, {"aishell": {"train": cell}, "mine": {"test": cell | {"speakers": 0}}})
    markdown = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert "3.00 hours in 2,468 utterances, kept of 2,600 rows." in markdown
    assert "| aishell | train | 1,234 | 1.50 | 7 | Apache-2.0 |" in markdown
    assert "| mine | test | 1,234 | 1.50 | not told | not stated |" in markdown
    assert r"| aishell | train | too\_short | 66 |" in markdown
    page = Page((tmp_path / "card.html").read_text(encoding="utf-8"))
    assert "Apache-2.0" in page.text and "not stated" in page.text and "too_short" in page.text
