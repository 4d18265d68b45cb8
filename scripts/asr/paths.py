"""Folders that pass between stages: whole or not there at all."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from asr.environment import log_dir
from asr.errors import UserError


@contextmanager
def output_folder(path: Path, unfinished: str = "") -> Iterator[Path]:
    """A new folder to write into, which becomes `path` only when the block ends without an error.

    What stood at `path` before is replaced at the end, so neither a crash nor a full disk leaves a folder that looks
    whole. The unfinished one is called `<path>.partial`; what a killed run left there is cleared by the next.

    Args:
        unfinished: a folder in it that a run which ends early leaves for the next, and that is not part of what is made.

    Raises:
        UserError: another run is writing it at this moment.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    with _writer_of(partial):
        outdated = path.with_name(path.name + ".outdated")
        old = outdated / path.name
        if old.exists() and not path.exists():  # a run was killed between the two renames below
            old.rename(path)
        shutil.rmtree(outdated, ignore_errors=True)
        try:
            _clear(partial, but=unfinished)
            if unfinished:
                (partial / unfinished).mkdir(exist_ok=True)
            yield partial
        except BaseException:
            with suppress(OSError):
                _clear(partial, but=unfinished)
                partial.rmdir()
            raise
        outdated.mkdir()
        # Renamed before anything is removed: whenever a run is killed here, the old one or the new one is whole.
        if path.exists() or path.is_symlink():  # a link may lead nowhere
            path.rename(old)
        partial.rename(path)
        if unfinished:
            (path / unfinished).rename(outdated / unfinished)
        shutil.rmtree(outdated)


def require_own(path: Path, pipeline: Path = Path("outputs")) -> None:
    """Raises `UserError` if a stage that a person gives `path` to write would replace what it did not make.

    What stands below `pipeline` is the pipeline's own, which it makes again; anywhere else a folder has to be new or empty.
    """
    try:
        if path.is_file():
            raise UserError(f"--output_dir {path}: is a file; give the name of a folder")
        # Of a link to a folder the link alone is replaced.
        if (
            pipeline.resolve() in path.resolve().parents
            or path.is_symlink()
            or not path.is_dir()
            or not any(path.iterdir())
        ):
            return
    except OSError as error:
        raise UserError(f"--output_dir {path}: cannot be read ({error.strerror}); give a new folder") from error
    raise UserError(
        f"--output_dir {path}: is not empty, and what is in it would be lost; give a new folder, or empty it"
    )


def require_writable(path: Path) -> None:
    """Raises `UserError` if `output_folder` could not write to `path`, before hours of work for it."""
    partial = path.with_name(path.name + ".partial")
    with _writer_of(partial), suppress(OSError):  # of a run that was killed something may be left in it
        partial.rmdir()


@contextmanager
def _writer_of(folder: Path) -> Iterator[None]:
    """`only_writer`, or a `UserError` where nothing can be written."""
    with ExitStack() as stack:
        try:
            stack.enter_context(only_writer(folder))
        except OSError as error:
            raise UserError(
                f"{folder}: cannot be made ({error.strerror}); give a folder that you may write to"
            ) from error
        yield


def _clear(folder: Path, but: str = "") -> None:
    """Remove all in a folder, `but` one name, unless that is an empty folder."""
    for left in folder.iterdir():
        if left.name == but and any(left.iterdir()):
            continue
        shutil.rmtree(left) if left.is_dir() else left.unlink()


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Make `folder` and lock it: two runs that write into one folder would give one broken output that looks whole."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        descriptor = os.open(folder, os.O_RDONLY)
        stack.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{folder}: another run is writing it; wait for that one, or stop it") from None
        yield


def require_folder(path: Path, made_by: str) -> Path:
    """`path` if it is a folder, else a `UserError` that says what makes it (`made_by`: a sentence's end)."""
    path = Path(path)
    if not path.is_dir():
        raise UserError(f"{path}: no such folder; {made_by}")
    return path


def fingerprint(*parts: object) -> str:
    """Sixteen hex digits that change with any of `parts`: plain values, or paths of files (their content counts)."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            with part.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        else:
            digest.update(json.dumps(part, sort_keys=True, default=str).encode())
        digest.update(b"\0")
    return digest.hexdigest()[:16]


def run_folder(stage: str, values: dict, ignored: Collection[str]) -> Path:
    """Where a training keeps checkpoints and TensorBoard's events: `runs/<stage>/<hash of its params and data>/`.

    So a resume does not mix two experiments, unless the code or the sound of the same utterances has changed meanwhile.
    Of `values`, the stage's parameters, those that are `ignored` do not count; of the model that they name the weights do,
    of the features the utterances, and of audio shards their sizes.
    """
    experiment = {name: value for name, value in values.items() if name not in ignored}
    weights = sorted(path for path in Path(values["model_dir"]).iterdir() if path.suffix in (".safetensors", ".bin"))
    features = Path(values["features_dir"])
    utterances = sorted(features.glob("*/utterances.arrow"))
    shards = {str(shard.relative_to(features)): shard.stat().st_size for shard in features.glob("*/[0-9]*.arrow")}
    return log_dir() / stage / fingerprint(experiment, *weights, *utterances, *([shards] if shards else []))
