"""A data set on the Hugging Face Hub, or a local folder, stored as Parquet or Arrow with its recordings inside.

    audio: {bytes, path} | bytes | path     text     speaker, language, source: where a column is named

Each row is "<split>/<its recording's path>/<a hash of its bytes>", without what it has not: added rows rename no other.
Recordings are never decoded here: `datasets` would do it with torchcodec, which needs FFmpeg on the machine. A folder of
loose files goes through torchcodec even unread; audiofolder.py reads those.
"""

import errno
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import datasets
from datasets import Audio, ClassLabel, Dataset, IterableDataset, Value
from huggingface_hub import HfApi
from huggingface_hub.constants import HF_HUB_CACHE
from huggingface_hub.errors import HfHubHTTPError, HTTPError, OfflineModeIsEnabled

from asr.corpora import BY_SPEAKER, Corpus, entries, splits_in_order
from asr.corpora.files import inside, lacking
from asr.duplicates import digest_of
from asr.errors import UserError
from asr.recording import Recording
from asr.utterance import Rejected, Utterance

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def read(
    *,
    source: str,
    speakers: str,
    language: str,
    domain: str,
    id: str,
    revision: str,
    configuration: str,
    splits: dict[str, str],
    streaming: bool,
    audio_column: str,
    text_column: str,
    speaker_column: str,
    language_column: str,
    source_column: str,
) -> Corpus:
    """Open a data set; see `asr.corpora` for what every reader gives.

    Args:
        id: owner/name on the Hub, or a folder.
        revision: a commit, or a branch or tag, whose commit is printed.
        splits: our split, or "speaker": the data set's, which may be sliced ("train[:1%]") unless it is streamed.
        streaming: read the files as they come; `rows` is then what the data set's card says, or 0.
        speaker_column, language_column, source_column: "" where the data set does not tell. A language may be Whisper's
            code, a locale or an English name.

    Raises:
        UserError: the Hub cannot be reached, or there is no such data set, configuration, split or column.
        OSError: the disk is full.
    """
    revision = _commit(id, revision)
    where = f"data set {id} ({configuration}, {{}}, revision {revision})"
    columns = {"audio_column": audio_column, "text_column": text_column, "speaker_column": speaker_column}
    columns |= {"language_column": language_column, "source_column": source_column}
    order = splits_in_order(splits)
    tables = []
    for _, theirs in order:
        table = _load(where.format(theirs), id, configuration, revision, theirs, streaming)
        _check(table, columns, where.format(theirs))
        tables.append(
            _undecoded(table, audio_column).select_columns(list(dict.fromkeys(filter(None, columns.values()))))
        )
    # Rows that hold no bytes may name files of the data set, not any on this machine.
    folders = [Path(id)] if Path(id).exists() else [Path(HF_HUB_CACHE), Path(datasets.config.HF_DATASETS_CACHE)]

    def utterances() -> Iterator[Utterance | Rejected]:
        for (split, theirs), table in zip(order, tables, strict=True):
            prefix = split or (theirs if theirs not in splits else BY_SPEAKER)  # no other split's name: ids are unique
            features = table.features
            named: Counter[bytes] = Counter()
            for number, row in enumerate(_rows(table, where.format(theirs))):
                speaker, spoken, origin = (
                    _said(row.get(column), features.get(column))
                    for column in (speaker_column, language_column, source_column)
                )
                name = _name(row[audio_column], folders) or str(number)
                named[key := digest_of(name.encode(errors="backslashreplace"))] += 1
                name += f"/{named[key]}" if named[key] > 1 else ""
                whose = {"id": f"{source}/{prefix}/{name}", "source": source, "split": split}
                whose["speaker"] = f"{speakers}/{speaker}" if speaker else ""
                try:
                    spoken = entries.language({language_column: spoken}, (language_column,), language)
                    found = _recording(row[audio_column], folders, whose["id"])
                except entries.Malformed as error:
                    found = "malformed_row", str(error)
                if isinstance(found, Recording):
                    text = _said(row[text_column], features[text_column])
                    said = {"text": text, "language": spoken, "domain": domain, "origin": origin}
                    yield Utterance(**whose, audio=found, **said)
                else:
                    yield Rejected(**whose, reason=found[0], detail=f"{where.format(theirs)}, row {number}: {found[1]}")

    rows = sum(map(_count, tables, (theirs for _, theirs in order)))
    return Corpus(rows, tuple(split for split, _ in order), utterances(), exact=not streaming)


def _commit(id: str, revision: str) -> str:
    """The commit that a branch of a data set on the Hub is at, so that all is read from it and a log says from which."""
    if Path(id).exists() or re.fullmatch("[0-9a-f]{40}", revision):
        return revision
    try:
        commit = HfApi().dataset_info(id, revision=revision, timeout=30).sha
    except (HTTPError, OfflineModeIsEnabled, ValueError):  # `_load` takes what is in the cache, or says what is wrong
        return revision
    print(f"data set {id}: revision {revision} is {commit}")
    return commit


def _load(
    where: str, id: str, configuration: str, revision: str, split: str, streaming: bool
) -> Dataset | IterableDataset:
    if streaming and "[" in split:
        raise UserError(
            f"{where}: a stream cannot be sliced; take streaming: false, or the split as a whole: {split.split('[')[0]}"
        )
    with _explained(where, "check id, configuration, revision and splits, and HF_TOKEN if it is private"):
        return datasets.load_dataset(id, configuration, revision=revision, split=split, streaming=streaming)


def _check(table: Dataset | IterableDataset, columns: dict[str, str], where: str) -> None:
    """That the columns, by the names of their params, are there and hold what they must."""
    if table.features is None:
        raise UserError(f"{where}: its columns are not known before it is read; take streaming: false")
    wanted = {param: column for param, column in columns.items() if column}
    if missing := {param: column for param, column in wanted.items() if column not in table.features}:
        raise UserError(
            f"{where}: no column {', '.join(missing.values())}, only {', '.join(table.features)}; "
            f"correct {', '.join(missing)}"
        )
    for param, column in wanted.items():
        feature = table.features[column]
        if param == "audio_column":
            good = isinstance(feature, Audio | Value) or (
                isinstance(feature, dict) and {"bytes", "path"} & set(feature)
            )
            kind = "no recordings; store the bytes of sound files (FLAC, MP3, WAV), as push_to_hub does with Audio"
        else:
            good, kind = isinstance(feature, Value | ClassLabel), f"no text; correct {param}"
        if not good:
            raise UserError(f"{where}: column {column} holds {feature}, {kind}")


def _undecoded(table: Dataset | IterableDataset, audio_column: str) -> Dataset | IterableDataset:
    if isinstance(table, IterableDataset):
        return table.decode(False)  # not a cast: a stream from the Hub comes with threads that decode before it
    if isinstance(table.features[audio_column], Audio):
        return table.cast_column(audio_column, Audio(decode=False))
    return table


def _count(table: Dataset | IterableDataset, split: str) -> int:
    if isinstance(table, Dataset):
        return len(table)
    known = (table.info.splits or {}).get(split)
    return known.num_examples or 0 if known else 0


def _rows(table: Dataset | IterableDataset, where: str) -> Iterator[dict]:
    with _explained(where, "run the stage again, or take streaming: false, which keeps what was downloaded"):
        yield from table


def _said(value: object, feature: object) -> str:
    if isinstance(feature, ClassLabel) and isinstance(value, int) and value >= 0:
        return feature.int2str(value)
    return "" if value is None else str(value)


def _name(value: dict | bytes | str | None, folders: list[Path]) -> str:
    """What a row's recording is called wherever the row and the data set's files lie; "" where there is none."""
    path, content = (value.get("path"), value.get("bytes")) if isinstance(value, dict) else (value, value)
    path = path if isinstance(path, str) else ""
    if isinstance(content, bytes) and content:  # many recordings may have one path: "audio.wav"
        return f"{path}/{digest_of(content).hex()[:16]}".removeprefix("/")
    files = ((folder, inside(folder, path)) for folder in folders)
    return next((file.relative_to(os.path.abspath(folder)).as_posix() for folder, file in files if file), path)


def _recording(value: dict | bytes | str | None, folders: list[Path], name: str) -> Recording | tuple[str, str]:
    """A recording, or the reason and detail of there being none: the column holds bytes, a path, or both in a record."""
    if isinstance(value, dict):
        name = value.get("path") or name
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes) and value:
        return Recording(value, name=name)
    if not value:
        return "missing_clip", "no recording"
    paths = [path for folder in folders if (path := inside(folder, str(value)))]
    if not paths:
        return "outside_corpus", f"{value!r} is no file inside {' or '.join(map(str, folders))}"
    if found := next((path for path in paths if not lacking(path)), None):
        return Recording(found)
    return lacking(paths[0]), f"no file {paths[0]}"


@contextmanager
def _explained(where: str, remedy: str) -> Iterator[None]:
    """What `datasets` and the Hub raise, as what the user can do."""
    try:
        yield
    except ConnectionError as error:  # also huggingface_hub's OfflineModeIsEnabled
        raise UserError(
            f"{where}: the Hub cannot be reached ({error}); check the network, or give a local folder"
        ) from error
    except (datasets.exceptions.DatasetsError, HfHubHTTPError, HTTPError, FileNotFoundError, ValueError) as error:
        if full := _disk_full(error):
            raise full from None  # it is not the id that is wrong
        cause = error.__cause__ or error
        if isinstance(cause, ImportError):
            remedy = (
                "its form needs more than this environment has; store it as Parquet, or take the corpus's own reader"
            )
        raise UserError(f"{where}: {cause}; {remedy}") from error
    except OSError as error:
        if "Not enough disk space" not in str(error):
            raise
        raise UserError(f"{where}: {error}; free some space, or set CACHE_DIR in .env to a larger disk") from error
    except RuntimeError as error:  # of hf-xet, which says no more
        remedy = "run the stage again, which goes on where it stopped; HF_HUB_DISABLE_XET=1 downloads without hf-xet"
        raise UserError(f"{where}: the download failed ({error}); {remedy}") from error


def _disk_full(error: BaseException | None) -> OSError | None:
    """The error of a full disk among the causes of an error."""
    while error and not (isinstance(error, OSError) and error.errno in DISK_FULL):
        error = error.__cause__ or error.__context__
    return error
