"""Lists of Whisper-Finetune (yeyupiaoling): a JSON object a line, with sentences in time where they are known.

    {"audio": {"path": "dataset/0.wav", "start_time": 3.2, "end_time": 10.57}, "sentence": "近几年，不但…",
     "sentences": [{"start": 0, "end": 1.4, "text": "近几年，"}, …], "language": "Chinese", "duration": 7.37}

`start_time` and `end_time` (seconds) mean a stretch of a longer file, and the times of `sentences` count from its start.
`language` may be missing, and so may `sentences`; `"sentence": "", "sentences": []` is a recording in which nobody speaks.
A recording's path counts from where Whisper-Finetune was run: it is looked for from `path`, then from the list's folder.
"""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from asr.corpora import Corpus, entries, splits_in_order
from asr.corpora.files import exists, inside, lacking
from asr.corpora.json_lines import count_lines, json_lines
from asr.cuts import join
from asr.errors import UserError
from asr.recording import Recording
from asr.utterance import Rejected, Utterance


def read(*, source: str, speakers: str, language: str, domain: str, path: Path, splits: dict[str, str]) -> Corpus:
    """Open lists; see `asr.corpora` for what every reader gives.

    Args:
        splits: our split (or "speaker"): a list, seen from `path`.

    Raises:
        UserError: no such list, or one whose first line is not UTF-8.
    """
    path = exists(Path(os.path.normpath(Path(path).absolute())), "correct the source's path")
    fixed = {"source": source, "speakers": speakers, "language": language, "domain": domain}
    lists = []
    for split, name in splits_in_order(splits):
        file = inside(path, name)
        if file is None:
            raise UserError(f"{name}: outside of {path}; let splits name a list in it")
        lists.append((split, exists(file, "correct the source's path or splits")))

    def utterances() -> Iterator[Utterance | Rejected]:
        for split, file in lists:
            for where, entry in json_lines(file):
                yield _item(path, file, where, entry, split, **fixed)

    return Corpus(sum(count_lines(file) for _, file in lists), tuple(split for split, _ in lists), utterances())


def _item(
    path: Path,
    file: Path,
    where: str,
    entry: dict | str,
    split: str,
    *,
    source: str,
    speakers: str,
    language: str,
    domain: str,
) -> Utterance | Rejected:
    id = f"{source}/{file.relative_to(path).as_posix()}:{where.rpartition(':')[2]}"  # until its own is known
    speaker = ""

    def reject(reason: str, detail: str) -> Rejected:
        return Rejected(id, source, split, speaker, reason, f"{where}: {detail}")

    try:
        if isinstance(entry, str):
            return reject("malformed_row", entry)
        audio = entry.get("audio")
        name = entries.text(audio, "path") if isinstance(audio, dict) else None
        if not name:
            return reject("malformed_row", f"no audio.path, but {audio!r:.80}")
        start, end = entries.seconds(audio, "start_time"), entries.seconds(audio, "end_time")
        code = entries.language(entry, ("language",), language)
        sentences = entries.segments(entry, "sentences")
        seconds = entries.seconds(entry, "duration")
        text = entries.text(entry, "sentence")
        speaker = entries.label(entry, "speaker")
    except entries.Malformed as error:
        return reject("malformed_row", str(error))
    speaker = f"{speakers}/{speaker}" if speaker else ""
    if end is not None and end <= (start or 0.0):
        return reject("malformed_row", f"a stretch from {start or 0.0} to {end} s")
    places = [inside(path, name), inside(path, str(PurePosixPath(file.parent.relative_to(path), name)))]
    places = [place for place in places if place is not None]
    if not places:
        return reject("outside_corpus", f"{name} is not in {path}")
    found = next((place for place in places if not lacking(place)), places[0])
    id = f"{source}/{found.relative_to(path).as_posix()}"
    if start is not None or end is not None:
        id += f"#{start or 0.0:.15g}" + (f"-{end:.15g}" if end is not None else "")
    if reason := lacking(found):
        return reject(reason, f"no file {' nor '.join(dict.fromkeys(map(str, places)))}")
    if not text and sentences:
        text = join([sentence.text for sentence in sentences], code)
    if text is None:
        return reject("no_text", "neither sentence nor sentences")
    return Utterance(
        id=id,
        audio=Recording(found, start=start or 0.0, end=end),
        text=text,
        language=code,
        speaker=speaker,
        source=source,
        domain=domain,
        split=split,
        seconds=end - (start or 0.0) if end is not None else seconds or 0.0,
        segments=sentences,
    )
