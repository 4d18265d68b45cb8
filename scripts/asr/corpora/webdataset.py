"""Shards of WebDataset: tars in which a sample's recording and its text are neighbours of the same name.

    <path>/train/shard_000000.tar      0001.wav 0001.txt 0002.flac 0002.json …   (.tar.gz and .tgz as well)
    <path>/train/metadata.json         {"total_samples": 10000, "shards": [{"filename": "shard_000000.tar", "samples": 1000}]}
    <path>/val_small/…

A sample's key is the member's folder and its name up to the first dot; what follows the dot says what it is. The text is a
.txt's, or a .json's `text_field`; a .json may also tell `language`, `domain`, `speaker` and `segments`. A plain tar is read
by the places of its members, a compressed one from front to back. metadata.json is optional and often wrong: what the
shards hold counts, and a difference is said.
"""

import json
import os
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path, PurePosixPath

from asr.corpora import Corpus, entries, splits_in_order
from asr.corpora.archives import ARCHIVES, is_archive, members
from asr.corpora.files import exists, inside, lines_of, text_of
from asr.cuts import join
from asr.errors import UserError
from asr.recording import Recording
from asr.utterance import Rejected, Utterance

RECORDINGS = frozenset({"wav", "mp3", "flac", "m4a", "ogg", "opus"})
TEXTS = frozenset({"txt", "json"})


def read(
    *,
    source: str,
    speakers: str,
    language: str,
    domain: str,
    path: Path,
    splits: dict[str, str],
    samples_per_shard: int,
    text_field: str,
) -> Corpus:
    """Open folders of shards; see `asr.corpora` for what every reader gives.

    Args:
        splits: our split (or "speaker"): a folder of shards, seen from `path`.
        samples_per_shard: for the number of rows where no metadata.json tells it.
        text_field: of a .json, the transcript.

    Raises:
        UserError: no such folder, no shards in it, a metadata.json that names one that is not there, a broken tarball.
    """
    path = Path(os.path.normpath(Path(path).absolute()))
    sets = []
    for split, name in splits_in_order(splits):
        folder = path if name == "." else inside(path, name)
        if folder is None:
            raise UserError(f"{name}: outside of {path}; let splits name a folder in it")
        exists(folder, "correct the source's path or splits")
        sets.append((split, folder, *_shards(folder, samples_per_shard)))

    fixed = {"source": source, "speakers": speakers, "language": language, "domain": domain, "text_field": text_field}

    def utterances() -> Iterator[Utterance | Rejected]:
        for split, folder, shards, rows, promised in sets:
            count = 0
            for shard in shards:
                for key, parts in _samples(shard):
                    count += 1
                    id = f"{source}/{_without_ending(shard.relative_to(path).as_posix())}/{key}"
                    yield _item(id, f"{shard}:{key}", parts, split, **fixed)
            if promised and count != rows:
                print(f"{folder}: {count} samples in its shards, {rows} in its metadata.json", flush=True)

    rows = sum(rows for *_, rows, _ in sets)
    return Corpus(rows, tuple(split for split, *_ in sets), utterances(), exact=False)


def _shards(folder: Path, samples_per_shard: int) -> tuple[list[Path], int, bool]:
    """The shards of a folder in order, how many samples they should hold, and whether metadata.json says so."""
    there = sorted(file for file in folder.iterdir() if is_archive(file) and file.is_file())
    if not there:
        raise UserError(f"{folder}: no shards (*{', *'.join(ARCHIVES)}); correct the source's path or splits")
    metadata = folder / "metadata.json"
    if not metadata.is_file():
        print(
            f"{folder}: no metadata.json; {len(there)} shards of {samples_per_shard} samples each, as a guess",
            flush=True,
        )
        return there, len(there) * samples_per_shard, False
    named, total = _metadata(metadata)
    shards = [exists(folder / name, f"{metadata} names it; download it, or remove it there") for name in named]
    if more := [shard for shard in there if shard not in shards]:
        print(f"{metadata} does not name {', '.join(shard.name for shard in more)}; read as well", flush=True)
    return [*shards, *more], total, True


def _metadata(path: Path) -> tuple[list[str], int]:
    """The names of the shards and the number of samples."""
    try:
        content = json.loads("".join(lines_of(path)))
        shards = content.get("shards") or []
        names = list(dict.fromkeys(shard["filename"] for shard in shards))
        total = content["total_samples"] if "total_samples" in content else sum(s["samples"] for s in shards)
        if any(inside(path.parent, name) is None for name in names) or type(total) is not int or total < 0:
            raise ValueError(f"names {names!r:.80}, total_samples {total!r:.80}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f'{path}: not {{"total_samples": 1000, "shards": [{{"filename": "….tar", "samples": 1000}}]}} ({error!r}); '
            "mend it, or remove it"
        ) from None
    return names, total


def _samples(shard: Path) -> Iterator[tuple[str, list[tuple[str, Recording]]]]:
    """Each sample's key, and its recordings and texts by their kind: "wav", "json"."""
    parts = (
        (*_key_and_kind(name), recording) for name, recording in members(shard, lambda name: _key_and_kind(name)[1])
    )
    for key, group in groupby(parts, key=lambda part: part[0]):
        yield key, [(kind, recording) for _, kind, recording in group if kind != "other"]


def _key_and_kind(name: str) -> tuple[str, str]:
    """WebDataset's key of a member, and its kind; that is "" of what belongs to no sample: hidden, or without a dot."""
    folder, _, last = name.rpartition("/")
    stem, dot, ending = last.partition(".")
    kind = ending.rpartition(".")[2].lower()
    if not stem or not dot:
        return "", ""
    return str(PurePosixPath(folder, stem)), kind if kind in RECORDINGS | TEXTS else "other"


def _item(
    id: str,
    where: str,
    parts: Iterable[tuple[str, Recording]],
    split: str,
    *,
    source: str,
    speakers: str,
    language: str,
    domain: str,
    text_field: str,
) -> Utterance | Rejected:
    """What a sample is; `where` it lies, for the detail of a rejection."""
    recordings = [recording for kind, recording in parts if kind in RECORDINGS]
    audio = recordings[0] if recordings else b""
    # Beside 0001.16k.wav both 0001.txt and 0001.16k.txt are its text, and 0001.speaker.txt is not.
    own = {_key_and_kind(audio.name)[0], audio.name.rpartition(".")[0]} if recordings else ()
    named = [(kind, text) for kind, text in parts if kind in TEXTS and text.name.rpartition(".")[0] in own]
    texts = dict(named)

    def reject(reason: str, detail: str) -> Rejected:
        return Rejected(id, source, split, "", reason, f"{where}: {detail}", audio)

    if not recordings:
        return reject("missing_clip", f"no recording ({', '.join(sorted(RECORDINGS))}) beside it")
    if len(recordings) > 1:
        return reject("malformed_row", f"several recordings: {', '.join(recording.name for recording in recordings)}")
    if len(named) > len(texts):
        return reject("malformed_row", f"several texts: {', '.join(text.name for _, text in named)}")
    if not texts:
        return reject("no_text", "no .txt and no .json beside it")
    try:
        entry = json.loads(_content(texts["json"])) if "json" in texts else {}
        if not isinstance(entry, dict):
            raise entries.Malformed(f"not an object, but {entry!r:.80}")
        code = entries.language(entry, ("language",), language)
        segments = entries.segments(entry, "segments")
        speaker = entries.label(entry, "speaker")
        text = entries.text(entry, text_field)
        if text is None and "txt" in texts:
            text = _content(texts["txt"]).strip()
        domain = entries.label(entry, "domain") or domain
    except (ValueError, RecursionError, OSError, UserError) as error:
        return reject("malformed_row", str(error))
    if text is None and not segments:
        return reject("no_text", f"neither {text_field} nor segments in its .json, and no .txt")
    return Utterance(
        id=id,
        audio=audio,
        text=join([s.text for s in segments], code) if text is None else text,
        language=code,
        speaker=f"{speakers}/{speaker}" if speaker else "",
        source=source,
        domain=domain,
        split=split,
        segments=segments,
    )


def _content(recording: Recording) -> str:
    """The text of a member."""
    return text_of(recording.open().read(), recording.name)


def _without_ending(name: str) -> str:
    return next(name.removesuffix(ending) for ending in ARCHIVES if name.endswith(ending))
