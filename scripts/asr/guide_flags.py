"""The flags that the Chinese guide calls its trainings with, as flags of the stages here.

--base_model=PATH|OWNER/NAME[@REVISION]   --model_dir PATH, fetched from the Hub if it is no folder
--freeze_encoder[=True]                   --trainable.what encoder_frozen
--use_8bit[=True]                         --adapter.quantize 8bit
--use_adalora[=True]                      --adapter.method adalora
"""

import re
from collections.abc import Mapping
from pathlib import Path

from asr.errors import UserError

HUB_ID = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w.-]+))?")
SWITCHES = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}

FREEZE_ENCODER = {"freeze_encoder": ("--trainable.what=encoder_frozen", "--trainable.what=all")}
ADAPTER = {
    "use_8bit": ("--adapter.quantize=8bit", "--adapter.quantize=none"),
    "use_adalora": ("--adapter.method=adalora", "--adapter.method=lora"),
}


def guide_flags(arguments: list[str], switches: Mapping[str, tuple[str, str]]) -> list[str]:
    """`arguments` with the guide's flags in the stage's own words; all others stay as they are.

    Args:
        switches: what each of the guide's switches becomes where it is true, and where it is false.

    Raises:
        UserError: a switch is neither, or a model is no folder and cannot be fetched.
    """
    translated, waiting = [], list(arguments)
    while waiting:
        argument = waiting.pop(0)
        name, given, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or name not in {"base_model", *switches}:
            translated.append(argument)
            continue
        if not given and waiting and not waiting[0].startswith("--"):
            value = waiting.pop(0)
        if name == "base_model":
            translated.append(f"--model_dir={_folder(value)}")
            continue
        if (wanted := SWITCHES.get((value or "true").lower())) is None:
            raise UserError(f"--{name}={value}: give True or False")
        translated.append(switches[name][0 if wanted else 1])
    return translated


def _folder(model: str) -> Path:
    if (path := Path(model).expanduser()).is_dir():
        return path
    if not (hub := HUB_ID.fullmatch(model)):
        raise UserError(f"--base_model={model}: neither a folder nor a model of the Hub, such as openai/whisper-tiny")
    from asr.hub import download

    return download(hub[1], hub[2] or "main", names=("--base_model", "--base_model's @revision"))
