"""What DVC knows of the stages before the one that it runs: hashes of what they made, and their parameters.

    before = stages_before()     # of the stage that runs, in the folder of its dvc.yaml; None if DVC does not run it
    before.data                  # {"outputs/prepare_audio": "8c1e….dir", …}
    before.params                # {"train_german_model": {"steps": 1200, …}, …}

In: dvc.lock, which DVC writes after each stage, and the environment that it gives a stage's command. Nothing is hashed again.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePath

import pydantic
from ruamel.yaml import YAML

from asr.params_file import Params

CODE = "scripts"  # the folder of what is no data, in every recipe
OUTSIDE = ("/", "~", "..", "file://")


@dataclass(frozen=True)
class StagesBefore:
    """What a stage was made from, its own dependencies and theirs."""

    data: dict[str, str]  # MD5, as DVC has it, of each output, and of each path that no stage makes
    params: dict[str, dict]  # sections of params.yaml by stage, as it ran


def stages_before(folder: Path = Path()) -> StagesBefore | None:
    """The stages before the one that DVC runs, of the dvc.yaml and dvc.lock in `folder`.

    Returns:
        `None` if a person runs the script, whose inputs can be any, or where there is no dvc.lock yet. Of a path outside the
        recipe nothing is told but its name.
    """
    stage = os.environ.get("DVC_STAGE", "").rpartition(":")[2]  # "train", or "recipes/german/dvc.yaml:train"
    pipeline, lock = _read(folder / "dvc.yaml"), _read(folder / "dvc.lock")
    if not lock or stage not in (stages := pipeline.get("stages", {})):
        return None
    locked = lock.get("stages", {})
    # A dependency with options is written as {path: options}.
    waiting = [dep if isinstance(dep, str) else next(iter(dep)) for dep in stages[stage].get("deps", ())]
    before: dict[str, Mapping] = {}
    while waiting:
        path = waiting.pop()
        for name, one in locked.items():
            if name not in before and any(_overlap(path, out["path"]) for out in one.get("outs", ())):
                before[name] = one
                waiting += [dep["path"] for dep in one.get("deps", ())]
    items = [item for one in before.values() for item in (*one.get("outs", ()), *_raw(one, locked))]
    return StagesBefore(
        _named({item["path"]: item["md5"] for item in items if "md5" in item}),
        {name: _told(_whole(name, section)) for one in before.values() for name, section in _sections(one)},
    )


def _raw(stage: Mapping, locked: Mapping[str, Mapping]) -> Iterator[Mapping]:
    """The dependencies that are data and that no stage makes."""
    made = [out["path"] for one in locked.values() for out in one.get("outs", ())]
    for dep in stage.get("deps", ()):
        if CODE not in PurePath(dep["path"]).parts and not any(_overlap(dep["path"], path) for path in made):
            yield dep


def _sections(stage: Mapping) -> Iterator[tuple[str, dict]]:
    for sections in stage.get("params", {}).values():  # by file
        yield from sections.items()


def _whole(name: str, section: dict) -> dict:
    """A section with its defaults, which the file need not name."""
    try:
        params = Params.model_validate({name: section})
    except pydantic.ValidationError:
        return section  # DVC was told to run this stage alone, and an earlier one's code has changed since
    return getattr(params, name).model_dump(mode="json", exclude_none=True)


def _overlap(one: str, other: str) -> bool:
    a, b = PurePath(one), PurePath(other)
    return a.is_relative_to(b) or b.is_relative_to(a)


def _named(digests: Mapping[str, str]) -> dict[str, str]:
    """By what is told of a path; of two outside the recipe that are called alike the second is "clips (2)"."""
    named: dict[str, str] = {}
    for path, digest in digests.items():
        name = _told(path)
        number = next(n for n in count(1) if (f"{name} ({n})" if n > 1 else name) not in named)
        named[f"{name} ({number})" if number > 1 else name] = digest
    return named


def _told(value):
    """A value with every path that begins outside the recipe (/, ~, .., file://) cut down to its name."""
    if isinstance(value, dict):
        return {key: _told(of) for key, of in value.items()}
    if isinstance(value, list):
        return [_told(of) for of in value]
    return PurePath(value).name if isinstance(value, str) and value.startswith(OUTSIDE) else value


def _read(file: Path) -> dict:
    if not file.is_file():
        return {}
    # `pure`: the C library reads YAML 1.1, where 3e-06 is a text.
    return YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8")) or {}
