"""How every stage starts: read and check `params.yaml`, take flags, run, and say in one message what went wrong.

    if __name__ == "__main__":
        run_stage(Evaluation, main)

Run by DVC a script takes no flags; by hand `--help` lists every parameter, and a flag overrides the file for this run.
"""

import difflib
import errno
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from copy import copy
from pathlib import Path
from typing import TypeVar

import pydantic
from pydantic_settings import CliApp, SettingsError

from asr.environment import load_environment
from asr.errors import UserError
from asr.params import Section
from asr.params_file import Params, read_params
from asr.paths import require_own

S = TypeVar("S", bound=Section)

PARAMS_FILE = Path("params.yaml")

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
SAYS_NO_SPACE = re.compile(
    rf"os error ({'|'.join(map(str, NO_SPACE))})\b|No space left|Disk quota|file write failed"
    "|iostream error|unexpected pos"  # torch.save
)
ALMOST_NOTHING = 2**20  # bytes


def run_stage(section: type[S], main: Callable[[S], None], translate: Callable[[list[str]], list[str]] = list) -> None:
    """Run `main` with the stage's section, and exit: 0 if all is well, 1 with one message if the user can mend it.

    translate: flags of another kind into those of the section.
    """

    def stage() -> None:
        params = parse(section, translate(sys.argv[1:]))
        if output_dir := getattr(params, "output_dir", None):
            require_own(output_dir)
        main(params)

    run(stage)


def run_command(main: Callable[[Params], None]) -> None:
    """As `run_stage`, for what looks at the whole recipe and makes nothing; it takes no flags but --help.

    main: what to do with all of `params.yaml`.
    """
    if len(sys.argv) > 1:
        print(sys.modules["__main__"].__doc__)
        sys.exit(0 if sys.argv[1] in ("-h", "--help") else 2)
    run(lambda: main(read_params(PARAMS_FILE)))


def run(work: Callable[[], None], stopped: str = "the same command goes on where it can") -> None:
    """Do `work` with `.env` read, and exit: 1 with one message if the user can mend it, 130 after Ctrl-C.

    stopped: what to say after Ctrl-C.
    """
    load_environment()
    try:
        work()
    except KeyboardInterrupt:
        print(f"stopped; {stopped}", file=sys.stderr, flush=True)
        sys.exit(130)
    except Exception as error:
        if (full := full_disk(error)) is not None:
            _fail(
                f"{full}: the disk is full, or a quota or a limit on file sizes is reached; free some space and run the stage again"
            )
        if isinstance(error, UserError):
            _fail(str(error))
        raise


def parse(section: type[S], arguments: list[str]) -> S:
    """The stage's section of `params.yaml`, overridden by flags; the whole file is checked, whatever the stage."""
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", section.__name__).lower()
    asks_for_help = not {"--help", "-h"}.isdisjoint(arguments)
    # Help is given anywhere; in a folder with params.yaml it shows what stands there.
    values = None if asks_for_help and not PARAMS_FILE.is_file() else getattr(read_params(PARAMS_FILE), name)
    if values is None and not asks_for_help:
        raise UserError(f"{PARAMS_FILE.absolute()}: {name}: no such section; this recipe does not have the stage")
    try:
        given = {} if values is None else values.model_dump(exclude_unset=True)
        flags = {argument.split("=")[0].removeprefix("--") for argument in arguments if argument.startswith("--")}
        _require_known(flags, section, name)
        # --models '{…}' means these alone; pydantic-settings would add them to the file's.
        given = {field: value for field, value in given.items() if field not in flags}
        shown = _with_defaults(section, given) if asks_for_help else section
        return CliApp.run(shown, cli_args=arguments, **given)
    except SettingsError as error:
        raise UserError(f"flags of {name}: {error}") from None
    except pydantic.ValidationError as error:
        raise UserError("\n".join(map(_problem, error.errors()))) from None


def _require_known(flags: set[str], section: type[Section], name: str) -> None:
    known = [*section.model_fields, "help"]
    for flag in sorted(flags):
        if flag.split(".")[0] not in known:
            near = difflib.get_close_matches(flag, known, n=1)
            hint = f"did you mean --{near[0]}? " if near else ""
            raise UserError(f"--{flag}: {name} has no such parameter; {hint}--help lists them")


def _with_defaults(section: type[S], given: Mapping) -> type[S]:
    """The section for `--help`, which shows what the file says as the default."""
    fields = {name: (section.model_fields[name].annotation, copy(section.model_fields[name])) for name in given}
    for name, (_, field) in fields.items():
        field.default, field.default_factory = _shown(given[name]), None
    return pydantic.create_model(section.__name__, __base__=section, __doc__=section.__doc__, **fields)


def _shown(value):
    """A value as the file has it; of a list of groups, as the gates, how many."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return f"the {len(value)} of {PARAMS_FILE}"
    if isinstance(value, dict):
        return {key: _shown(of) for key, of in value.items()}
    return [_shown(of) for of in value] if isinstance(value, list) else value


def _problem(item: Mapping) -> str:
    """One line of what pydantic found; a check of several values has no value of its own."""
    flag, value = ".".join(map(str, item["loc"])), item["input"]
    what = item["msg"].removeprefix("Value error, ")
    return (f"--{flag}: " if flag else "") + what + ("" if isinstance(value, Mapping | list) else f", got {value!r}")


def full_disk(error: BaseException) -> Path | None:
    """Where no more could be written, if that is what `error` is or was raised for; else None."""
    chain = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    for error in chain:
        if isinstance(error, OSError) and error.errno in NO_SPACE:
            return Path(error.filename or Path.cwd())
        if not isinstance(error, UserError) and SAYS_NO_SPACE.search(str(error)):
            return Path.cwd()
    # Libraries written in C++ and Rust do not always say why a file could not be written.
    is_of_library = isinstance(chain[0], RuntimeError) or type(chain[0]).__name__ == "SafetensorError"
    if is_of_library and shutil.disk_usage(Path.cwd()).free < ALMOST_NOTHING:
        return Path.cwd()
    return None


def _fail(message: str) -> None:
    if rank := int(os.environ.get("RANK", "0")):
        # Under torchrun most errors meet every process. If the first one speaks, torchrun ends this one meanwhile.
        time.sleep(2 + rank)
    print(f"error: {message}", file=sys.stderr, flush=True)
    sys.exit(1)
