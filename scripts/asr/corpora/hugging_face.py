"""A data set on the Hugging Face Hub, or a local folder, stored as Parquet or Arrow with its recordings inside.

The data set's own splits are kept. Recordings are taken as bytes: `datasets` would decode them with torchcodec,
which needs FFmpeg on the machine. A folder of loose files (audiofolder) goes through torchcodec even unread.
"""

import errno
import re
from collections.abc import Iterator
from pathlib import Path

import datasets
from datasets import Audio, Dataset
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HTTPError, OfflineModeIsEnabled

from asr.corpora import Corpus
from asr.errors import UserError
from asr.utterance import SPLITS, Rejected, Utterance

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def read(
    *,
    source: str,
    language: str,
    domain: str,
    id: str,
    revision: str,
    configuration: str,
    splits: dict[str, str],
    audio_column: str,
    text_column: str,
    speaker_column: str,
) -> Corpus:
    """Open a data set; see `asr.corpora` for what every reader gives. An utterance's id is its split and row number.

    Args:
        id: owner/name on the Hub, or a folder.
        revision: a commit, or a branch or tag, whose commit is printed.
        splits: our split: the data set's, which may be sliced ("train[:1%]").
        speaker_column: "" where the data set does not tell.

    Raises:
        UserError: the Hub cannot be reached, or there is no such data set, configuration, split or column.
        OSError: the disk is full.
    """
    revision = _commit(id, revision)
    tables = {}
    for split in sorted(splits, key=SPLITS.index, reverse=True):  # test first: see common_voice.py
        table = _load(id, configuration, revision, splits[split])
        wanted = [name for name in (audio_column, text_column, speaker_column) if name]
        if missing := [name for name in wanted if name not in table.column_names]:
            raise UserError(
                f"source {source}: {id} has no column {', '.join(missing)}, only {', '.join(table.column_names)}; "
                "correct audio_column, text_column or speaker_column"
            )
        if isinstance(table.features[audio_column], Audio):
            table = table.cast_column(audio_column, Audio(decode=False))
        tables[split] = table.select_columns(wanted)

    def utterances() -> Iterator[Utterance | Rejected]:
        for split, table in tables.items():
            for number, row in enumerate(table):
                speaker = f"{source}/{row[speaker_column]}" if speaker_column and row[speaker_column] else ""
                text = row[text_column]
                content, reason, detail = _content(row[audio_column])
                whose = {"id": f"{source}/{split}/{number}", "source": source, "split": split, "speaker": speaker}
                if reason:
                    yield Rejected(**whose, reason=reason, detail=detail)
                elif not text or not text.strip():
                    yield Rejected(**whose, reason="empty_text", detail=f"{text_column} is {text!r}")
                else:
                    yield Utterance(**whose, audio=content, text=text, language=language, domain=domain)

    return Corpus(sum(map(len, tables.values())), tuple(splits), utterances())


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


def _load(id: str, configuration: str, revision: str, split: str) -> Dataset:
    where = f"data set {id} ({configuration}, {split}, revision {revision})"
    try:
        return datasets.load_dataset(id, configuration, revision=revision, split=split)
    except ConnectionError as error:  # also huggingface_hub's OfflineModeIsEnabled
        raise UserError(
            f"{where}: the Hub cannot be reached ({error}); check the network, or give a local folder"
        ) from error
    except (datasets.exceptions.DatasetsError, HfHubHTTPError, FileNotFoundError, ValueError) as error:
        if full := _disk_full(error):
            raise full from None  # it is not the id that is wrong
        cause = error.__cause__ or error
        remedy = "check id, configuration, revision and splits, and HF_TOKEN if it is private"
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


def _content(value: dict | bytes | str | None) -> tuple[bytes, str, str]:
    """A recording's bytes, or the reason and detail of there being none.

    The column holds bytes, a file's path, or both in a record.
    """
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, str):
        try:
            value = Path(value).read_bytes()
        except (FileNotFoundError, IsADirectoryError):
            return b"", "missing_clip", f"no file {value}"
        except (OSError, ValueError) as error:  # no permission, a bad disk, a null byte in the name
            return b"", "unreadable_audio", f"{value}: {error}"
    return (value, "", "") if value else (b"", "missing_clip", "no recording in this row")
