"""A data set on the Hugging Face Hub, or a local folder, stored as Parquet or Arrow with its recordings inside.

The data set's own splits are kept. Recordings are taken as bytes: `datasets` would decode them with torchcodec,
which needs FFmpeg on the machine. A folder of loose files (audiofolder) goes through torchcodec even unread.
"""

from collections.abc import Iterator
from pathlib import Path

import datasets
from datasets import Audio, Dataset
from huggingface_hub.errors import HfHubHTTPError

from asr.corpora import Corpus
from asr.errors import UserError
from asr.utterance import SPLITS, Rejected, Utterance


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
        splits: our split: the data set's, which may be sliced ("train[:1%]").
        speaker_column: "" where the data set does not tell.

    Raises:
        UserError: the Hub cannot be reached, or there is no such data set, configuration, split or column.
    """
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
                content, problem = _content(row[audio_column])
                whose = {"id": f"{source}/{split}/{number}", "source": source, "split": split, "speaker": speaker}
                if problem:
                    yield Rejected(**whose, reason="missing_clip", detail=problem)
                elif not text or not text.strip():
                    yield Rejected(**whose, reason="empty_text", detail=f"{text_column} is {text!r}")
                else:
                    yield Utterance(**whose, audio=content, text=text, language=language, domain=domain)

    return Corpus(sum(map(len, tables.values())), utterances())


def _load(id: str, configuration: str, revision: str, split: str) -> Dataset:
    where = f"data set {id} ({configuration}, {split}, revision {revision})"
    try:
        return datasets.load_dataset(id, configuration, revision=revision, split=split)
    except ConnectionError as error:  # also huggingface_hub's OfflineModeIsEnabled
        raise UserError(
            f"{where}: the Hub cannot be reached ({error}); check the network, or give a local folder"
        ) from error
    except (datasets.exceptions.DatasetsError, HfHubHTTPError, FileNotFoundError, ValueError) as error:
        cause = error.__cause__ or error
        remedy = "check id, configuration, revision and splits, and HF_TOKEN if it is private"
        if isinstance(cause, ImportError):
            remedy = (
                "its form needs more than this environment has; store it as Parquet, or take the corpus's own reader"
            )
        raise UserError(f"{where}: {cause}; {remedy}") from error


def _content(value: dict | bytes | str | None) -> tuple[bytes, str]:
    """A recording's bytes, or what is wrong: the column holds bytes, a file's path, or both in a record."""
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, str):
        try:
            return Path(value).read_bytes(), ""
        except FileNotFoundError:
            return b"", f"no file {value}"
    return (value, "") if value else (b"", "no recording in this row")
