"""How every stage starts: read and check `params.yaml`, take flags, run, and say in one message what went wrong.

    if __name__ == "__main__":
        run_stage(Evaluation, main)

Run by DVC a script takes no flags; by hand `--help` lists every parameter, and a flag overrides the file for this run.
"""

import errno
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pydantic
from pydantic_settings import CliApp, SettingsError

from asr.environment import load_environment
from asr.errors import UserError
from asr.params import Section
from asr.params_file import read_params

S = TypeVar("S", bound=Section)

PARAMS_FILE = Path("params.yaml")


def run_stage(section: type[S], main: Callable[[S], None]) -> None:
    """Run `main` with the stage's section, and exit: 0 if all is well, 1 with one message if the user can mend it."""
    load_environment()
    try:
        main(parse(section, sys.argv[1:]))
    except UserError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno == errno.ENOSPC:
            _fail(f"{error.filename or Path.cwd()}: the disk is full; free some space and run the stage again")
        raise


def parse(section: type[S], arguments: list[str]) -> S:
    """The stage's section of `params.yaml`, overridden by flags; the whole file is checked, whatever the stage."""
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", section.__name__).lower()
    values = getattr(read_params(PARAMS_FILE), name)
    if values is None and "--help" not in arguments and "-h" not in arguments:
        raise UserError(f"{PARAMS_FILE.absolute()}: {name}: no such section; this recipe does not have the stage")
    try:
        given = {} if values is None else values.model_dump(exclude_unset=True)
        return CliApp.run(section, cli_args=arguments, **given)
    except SettingsError as error:
        raise UserError(f"flags of {name}: {error}") from None
    except pydantic.ValidationError as error:
        problems = [
            f"--{'.'.join(map(str, item['loc']))}: {item['msg']}, got {item['input']!r}" for item in error.errors()
        ]
        raise UserError("\n".join(problems)) from None


def _fail(message: str) -> None:
    if os.environ.get("RANK", "0") == "0":  # under torchrun every process meets the same error
        print(f"error: {message}", file=sys.stderr, flush=True)
    sys.exit(1)
