"""How to train: a stage's parameters as the loop takes them, and how a step is dealt out to devices.

    settings = TrainingSettings.of(params.model_dump())
    accumulation_steps(settings, world=2)                     # micro-batches of a step on each device

In: values by name. Out: the same, with windows, augmentation and prompts as their modules know them.
"""

from dataclasses import dataclass, field, fields

from asr.augmentation import Augmentation
from asr.errors import UserError
from asr.prompts import PromptSettings
from asr.whisper_shape import WINDOW_SECONDS
from asr.windows import Shapes

# Parameters that change how fast or where a training runs, not what comes out: a resumed run may change them.
NOT_THE_EXPERIMENT = frozenset(
    {
        "output_dir",
        "model_dir",
        "features_dir",
        "device_batch",
        "gradient_checkpointing",
        "eval_batch",
        "log_steps",
        "loader_workers",
        "max_non_finite",
    }
)


@dataclass(frozen=True)
class TrainingSettings:
    """How to train; the fields are described in `params.TrainingSection`."""

    sources: dict[str, float]
    eval_sources: list[str]
    eval_utterances: int
    seed: int
    steps: int
    global_batch: int
    device_batch: int
    optimizer: str
    learning_rate: float
    schedule: str
    warmup_steps: int
    weight_decay: float
    max_grad_norm: float
    gradient_checkpointing: bool
    eval_steps: int
    eval_batch: int
    log_steps: int
    loader_workers: int
    windows: Shapes
    augmentation: Augmentation
    prompts: PromptSettings
    ctc_weight: float = 0.0
    guided_attention_weight: float = 0.0
    sampled_tokens: int = 0
    learning_rates: dict[str, float] = field(default_factory=dict)
    ema_decay: float = 0.0
    best_by: str = "wer"
    early_stopping: int = 0
    max_non_finite: int = 3

    @classmethod
    def of(cls, values: dict) -> "TrainingSettings":
        """From a stage's parameters by name; those that are not the loop's are left out."""
        chosen = {f.name: values[f.name] for f in fields(cls) if f.name in values}
        augment, domain, words = values["augment"], values["domain"], values["words"]
        return cls(
            **chosen
            | {
                "windows": _shapes(values["windows"], values["global_batch"], augment),
                "augmentation": Augmentation(**augment),
                "prompts": PromptSettings(
                    domain["mode"],
                    domain["share"],
                    domain["texts"],
                    tuple(words["listed"]),
                    words["share"],
                    words["most"],
                ),
            }
        )


def _shapes(windows: dict, global_batch: int, augment: dict) -> Shapes:
    """What is not said of full and packed steps follows from the others."""
    values = {name: value for name, value in windows.items() if name != "kind"}
    seconds = values["step_seconds"]
    values["full_batch"] = values["full_batch"] or int(seconds / WINDOW_SECONDS) or global_batch
    values["packed_batch"] = values["packed_batch"] or int(seconds / WINDOW_SECONDS) or global_batch
    return Shapes(**values, speed_share=augment["speed_share"], speed=augment["speed"])


def accumulation_steps(settings: TrainingSettings, world: int) -> int:
    """Micro-batches of an optimiser step on each of `world` devices, so that none holds more than `device_batch`.

    Raises:
        UserError: the step's windows cannot be dealt out evenly.
    """
    used, windows = {}, settings.windows
    if windows.full_share < 1 or windows.full_from > 0:
        # Bounded by seconds, a cut step has a multiple of the windows that it would have if all were 30 s.
        bounded = min(int(windows.step_seconds / WINDOW_SECONDS), settings.global_batch)
        used |= (
            {"windows.step_seconds / 30 (at most global_batch)": bounded}
            if bounded
            else {"global_batch": settings.global_batch}
        )
    if windows.full_share > 0:
        used["windows.full_batch"] = windows.full_batch
    if windows.full_share < 1 and windows.packed_share > 0:
        used["windows.packed_batch"] = windows.packed_batch
    for accumulation in range(1, max(used.values()) + 1):
        parts = accumulation * world
        if all(size % parts == 0 and size // parts <= settings.device_batch for size in used.values()):
            return accumulation
    listed = ", ".join(f"{name}: {size}" for name, size in used.items())
    raise UserError(
        f"{listed} cannot be dealt out evenly to {world} device(s) of at most device_batch: {settings.device_batch} "
        "windows; raise device_batch, or make all of them multiples of the number of devices times accumulation steps"
    )
