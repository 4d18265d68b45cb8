"""NeMo manifests: a JSON object a line, with the recordings as files, or as members of tars.

    <path>/train_manifest.json         {"audio_filepath": "audio/0.wav", "text": "…", "duration": 3.2, "offset": 12.4, …}
    <path>/audio/0.wav                 seen from the manifest's folder (NeMo's rule), or absolute
    <path>/train/audio_0.tar …         of a tarred set, with `shard_id` in its manifest

`offset` (seconds) means a stretch of a longer file, `duration` long. Without it a recording is taken whole: `duration` is
then its length, often rounded, and the shared checks reject what is longer or shorter; NeMo would read the first seconds.
Where they are given, `lang` or `language`, `speaker`, `domain` and `segments` (start, end, text) count too.

NeMo flattens the names in its tars, and calls a member's second, third, … entry `<name>-sub1`, `<name>-sub2`: entries and
members are paired by `asr.corpora.nemo_tars`. Tarred sets come in the order of the tars, others in that of the manifest.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from asr.corpora import Corpus, entries, splits_in_order
from asr.corpora.files import exists, inside, lacking
from asr.corpora.json_lines import count_lines, json_lines
from asr.corpora.nemo_tars import in_order, pair
from asr.errors import UserError
from asr.recording import Recording
from asr.utterance import Rejected, Utterance


def read(
    *,
    source: str,
    speakers: str,
    language: str,
    domain: str,
    path: Path,
    splits: dict[str, str],
    tars: dict[str, str],
    text_field: str,
) -> Corpus:
    """Open manifests; see `asr.corpora` for what every reader gives.

    Args:
        splits: our split (or "speaker"): a manifest, seen from `path`.
        tars: of a tarred set, by the same keys: a pattern of its tars, seen from `path`.

    Raises:
        UserError: no such manifest, or one whose first line is not UTF-8; no tars of that pattern, or broken ones.
    """
    path = exists(Path(os.path.normpath(Path(path).absolute())), "correct the source's path")
    if unknown := tars.keys() - splits.keys():
        raise UserError(
            f"tars of {', '.join(sorted(unknown))}: splits names no manifest; name it, or remove those tars"
        )
    sets = []
    for split, name in splits_in_order(splits):
        manifest = inside(path, name)
        if manifest is None:
            raise UserError(f"{name}: outside of {path}; let splits name a manifest in it")
        pattern = tars.get(split or "speaker")
        found = None if pattern is None else _tars(path, pattern)
        sets.append((split, exists(manifest, "correct the source's path or splits"), found))
    fixed = {"source": source, "speakers": speakers, "language": language, "domain": domain, "text_field": text_field}

    def utterances() -> Iterator[Utterance | Rejected]:
        for split, manifest, found in sets:
            item = partial(_item, path, manifest, split, **fixed)
            if found is None:
                yield from (item(where, entry) for where, entry in json_lines(manifest))
            else:
                yield from (
                    item(where, entry, recording) for where, entry, recording in pair(json_lines(manifest), found)
                )

    rows = sum(count_lines(manifest) for _, manifest, _ in sets)
    return Corpus(rows, tuple(split for split, *_ in sets), utterances())


def _tars(path: Path, pattern: str) -> list[Path]:
    try:
        found = in_order(file for file in path.glob(pattern) if file.is_file())
    except (ValueError, NotImplementedError) as error:  # empty, or absolute
        raise UserError(
            f"tars: {pattern!r} is no pattern seen from {path} ({error}); write it as audio_*.tar"
        ) from None
    if not found:
        raise UserError(
            f"{path}: no tars {pattern!r}; correct the source's path or tars (NeMo's audio_{{0..9}}.tar is audio_*.tar)"
        )
    return found


def _item(
    path: Path,
    manifest: Path,
    split: str,
    where: str,
    entry: dict | str,
    member: Recording | str = "",
    *,
    source: str,
    speakers: str,
    language: str,
    domain: str,
    text_field: str,
) -> Utterance | Rejected:
    """What a line is; `member` is the recording of a tarred set's, or why there is none."""
    id = f"{source}/{manifest.relative_to(path).as_posix()}:{where.rpartition(':')[2]}"  # until its own is known
    speaker = ""

    def reject(reason: str, detail: str) -> Rejected:
        return Rejected(id, source, split, speaker, reason, f"{where}: {detail}")

    try:
        if isinstance(entry, str):
            return reject("malformed_row", entry)
        name = entries.text(entry, "audio_filepath")
        if not name:
            return reject("malformed_row", "no audio_filepath")
        start, seconds = entries.seconds(entry, "offset"), entries.seconds(entry, "duration")
        text = entries.text(entry, text_field) or ""
        code = entries.language(entry, ("lang", "language"), language)
        segments = entries.segments(entry, "segments")
        domain = entries.label(entry, "domain") or domain
        speaker = entries.label(entry, "speaker")
    except entries.Malformed as error:
        return reject("malformed_row", str(error))
    speaker = f"{speakers}/{speaker}" if speaker else ""
    folder = manifest.parent.relative_to(path)
    file = inside(path, str(PurePosixPath(folder, name)))
    own = file.relative_to(path) if file else PurePosixPath(folder, name.lstrip("/"))
    id = f"{source}/{own.as_posix()}"
    end = None
    if start is not None:
        id += f"#{start:.15g}"
        if seconds is not None:
            end = start + seconds
            id += f"-{end:.15g}"
    if isinstance(member, Recording):
        recording = member
    elif member:
        return reject("missing_clip", member)
    elif reason := lacking(file):
        return reject(reason, f"no file {name} in {path}" if file is None else f"no file {file}")
    else:
        recording = Recording(file)
    if start is not None:
        if seconds == 0:
            return reject("malformed_row", "a stretch of 0 s")
        recording = replace(recording, start=start, end=end)
    return Utterance(
        id=id,
        audio=recording,
        text=text,
        language=code,
        speaker=speaker,
        source=source,
        domain=domain,
        split=split,
        seconds=seconds or 0.0,
        segments=segments,
    )
