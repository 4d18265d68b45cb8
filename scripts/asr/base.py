"""Which model an adapter was trained on: `base.json` beside the adapter, so that it is not merged into another.

{"weights": "0f3c…", "vocabulary": 51865, "width": 384, "encoder_layers": 4, "decoder_layers": 4, "new_tokens": []}
"""

import json
from pathlib import Path

from transformers import WhisperConfig

from asr.errors import UserError
from asr.paths import fingerprint

FILE = "base.json"
WEIGHTS = (".safetensors", ".bin")


def describe_base(folder: Path, config: WhisperConfig, new_tokens: list[str]) -> dict:
    """What tells the model of `folder` from others: its weights' digest and its sizes. `new_tokens` came after it."""
    return {
        "weights": fingerprint(*sorted(path for path in Path(folder).iterdir() if path.suffix in WEIGHTS)),
        "vocabulary": config.vocab_size - len(new_tokens),
        "width": config.d_model,
        "encoder_layers": config.encoder_layers,
        "decoder_layers": config.decoder_layers,
        "new_tokens": new_tokens,
    }


def write_base(adapter: Path, base: dict) -> None:
    (Path(adapter) / FILE).write_text(json.dumps(base, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def read_base(adapter: Path) -> dict | None:
    """What an adapter says of its base; None where another tool wrote the adapter.

    Raises:
        UserError: the file is damaged.
    """
    file = Path(adapter) / FILE
    if not file.is_file():
        return None
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise UserError(f"{file}: cannot be read; copy the adapter again: {error}") from None


def check_base(adapter: Path, model_dir: Path, config: WhisperConfig) -> list[str]:
    """Refuse an adapter for another model than `model_dir`'s; returns the tokens that were added for it.

    Raises:
        UserError: the sizes or the weights differ from those that the adapter was trained on.
    """
    recorded = read_base(adapter)
    if recorded is None:
        print(f"{adapter}: no {FILE}, so nobody can tell whether {model_dir} is its base", flush=True)
        return []
    found = describe_base(model_dir, config, [])
    remedy = "give the model that it was trained on as --model_dir"
    for name in ("width", "encoder_layers", "decoder_layers", "vocabulary", "weights"):
        if recorded.get(name) != found[name]:
            raise UserError(
                f"{adapter}: an adapter for another base: {name} {recorded.get(name)}, but {model_dir} has {found[name]}; {remedy}"
            )
    return list(recorded.get("new_tokens", []))
