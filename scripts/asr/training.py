"""Training: one loop for every way to train, on one device or many.

In: a model, the feature cache, `TrainingSettings`. Out: a folder with the best checkpoint (by word or character error
rate) and the curves. What the loop gets right where the usual recipe does not:

- The loss is the mean over the tokens of the *global* batch, which transformers' own is not (`trainer.py`).
- Labels come finished from `labels.py`: one `<|startoftranscript|>`, nothing stripped, nothing shifted.
- The windows of a step are decided before they are dealt to devices, so GPUS changes the speed and not the experiment.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path

import torch
from transformers import Seq2SeqTrainingArguments, TrainerCallback
from transformers.trainer_callback import PrinterCallback

from asr.augmentation import Augmentation
from asr.average import Average
from asr.batches import Collator, WindowDataset
from asr.callbacks import EventFiles, LogLines, on_terminal, save_curves, trackers
from asr.checkpoints import last_whole_checkpoint, opened_run_dir, remove_checkpoints
from asr.companion import Companion
from asr.environment import dist_timeout
from asr.errors import UserError
from asr.features import FeatureCache, open_features
from asr.labels import Labeler
from asr.lint import check_labels
from asr.loss import training_loss
from asr.optimizer import require_8bit
from asr.paths import output_folder
from asr.plan import plan_steps
from asr.processes import contact_loss_explained
from asr.prompts import Prompts, PromptSettings
from asr.ranks import RankAllocation, is_adalora
from asr.sampled_vocabulary import SampledVocabulary
from asr.selection import evaluation_windows, sources_of, spoken_of, tokens_of
from asr.stopping import EarlyStopping, EvaluationShare, last_step
from asr.trainer import EvaluationSet, WhisperTrainer
from asr.whisper_shape import WINDOW_SECONDS
from asr.windows import RankBatches, Shapes

CHECKED_ROWS = 256  # against the laws of labels, before the first step; `make lint-labels` checks all

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

# The reentrant way gives no gradient to adapters in the encoder, whose input needs none.
CHECKPOINTING = {"use_reentrant": False}


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
    values["packed_batch"] = values["packed_batch"] or int(seconds / values["packed_seconds"][1]) or global_batch
    return Shapes(**values, speed_share=augment["speed_share"], speed=augment["speed"])


def accumulation_steps(settings: TrainingSettings, world: int) -> int:
    """Micro-batches of an optimiser step on each of `world` devices, so that none holds more than `device_batch`.

    Raises:
        UserError: the step's windows cannot be dealt out evenly.
    """
    used, windows = {}, settings.windows
    if windows.full_share < 1 or windows.full_from > 0:
        # Bounded by seconds, a cut step has at least as many windows as if all were 30 s, and never more sound than they.
        bounded = int(windows.step_seconds / WINDOW_SECONDS)
        used |= {"windows.step_seconds / 30": bounded} if bounded else {"global_batch": settings.global_batch}
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


@contact_loss_explained()
def train(
    model,
    tokenizer,
    features_dir: Path,
    settings: TrainingSettings,
    run_dir: Path,
    deliver: Callable[[Path], None],
    output_dir: Path,
) -> None:
    """Train `model` in place, resuming from the last whole checkpoint of `run_dir` if there is one, and deliver it.

    Args:
        model: a Whisper, or a peft model around one; it ends with the best checkpoint's weights.
        features_dir: what extract_features wrote, or prepare_audio.
        run_dir: checkpoints and TensorBoard's events; only this experiment's.
        deliver: writes the trained model into a folder; called in the first process alone.
        output_dir: that folder; the curves are put beside the model.
    """
    arguments = training_arguments(settings, run_dir)
    if arguments.n_gpu > 1:
        raise UserError("one process sees several GPUs; start with `make train GPUS=2`, torchrun or accelerate launch")
    first = arguments.process_index == 0
    with opened_run_dir(run_dir, first):
        labeler = Labeler(tokenizer)
        whisper = model.get_base_model() if hasattr(model, "get_base_model") else model  # a peft model wraps it
        mels = whisper.config.num_mel_bins
        train_cache, dev_cache = (open_features(features_dir, split, mels) for split in ("train", "dev"))
        if settings.optimizer == "adamw_8bit":
            require_8bit(arguments.device)
        checkpoint = last_whole_checkpoint(run_dir)
        arguments.max_steps = last_step(checkpoint, settings.steps, settings.best_by, settings.early_stopping)
        trainer = _trainer(model, labeler, train_cache, dev_cache, settings, arguments)
        vocabulary = _vocabulary(train_cache, labeler, settings, whisper.config.vocab_size)
        weights = {name: getattr(settings, name) for name in ("ctc_weight", "guided_attention_weight")}
        with training_loss(whisper, labeler, **weights, vocabulary=vocabulary):
            trainer.train_on()
        trainer.accelerator.wait_for_everyone()  # all have read the best checkpoint
        if first:
            with output_folder(output_dir) as folder:
                deliver(folder)
                save_curves(folder, trainer.state.log_history)
            remove_checkpoints(run_dir)


def _vocabulary(
    cache: FeatureCache, labeler: Labeler, settings: TrainingSettings, size: int
) -> SampledVocabulary | None:
    if not settings.sampled_tokens:
        return None
    control = range(labeler.end, size)  # and timestamps
    taught = [*tokens_of(cache, settings.sources, labeler), *control]
    return SampledVocabulary(taught, size, settings.sampled_tokens, settings.seed)


def _trainer(
    model, labeler: Labeler, train_cache: FeatureCache, dev_cache: FeatureCache, settings: TrainingSettings, arguments
) -> WhisperTrainer:
    sources = sources_of(train_cache, settings.sources, labeler)
    eval_windows = evaluation_windows(dev_cache, settings.eval_sources, settings.eval_utterances)
    accumulation = accumulation_steps(settings, arguments.world_size)
    arguments.gradient_accumulation_steps = accumulation
    prompts = Prompts(settings.prompts)
    prompts.check(labeler, spoken_of(train_cache, settings.sources) | spoken_of(dev_cache, settings.eval_sources))
    dataset, collate = WindowDataset(train_cache, labeler, prompts, settings.augmentation), Collator(labeler.end)

    def plan():
        return plan_steps(sources, settings.windows, settings.steps, settings.global_batch, settings.seed)

    if arguments.process_index == 0:
        check_labels(dataset, train_cache, labeler, next(plan()), collate, settings.sources, most=CHECKED_ROWS)
    trainer = WhisperTrainer(
        batches=RankBatches(plan, arguments.max_steps, accumulation, arguments.process_index, arguments.world_size),
        labeler=labeler,
        max_non_finite=settings.max_non_finite,
        model=model,
        args=arguments,
        train_dataset=dataset,
        eval_dataset=EvaluationSet(dev_cache, labeler, eval_windows, prompts.for_evaluation()),
        data_collator=collate,
        rates=settings.learning_rates,
        companions=_companions(model, settings),
        callbacks=[LogLines(), EventFiles(Path(arguments.output_dir)), *_observers(settings)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _companions(model, settings: TrainingSettings) -> list[Companion]:
    ranks = [RankAllocation(model)] if is_adalora(model) else []
    return ranks + ([Average(model, settings.ema_decay)] if settings.ema_decay else [])


def _observers(settings: TrainingSettings) -> list[TrainerCallback]:
    stopping = [EarlyStopping(settings.best_by, settings.early_stopping)] if settings.early_stopping else []
    return [*stopping, EvaluationShare(time.monotonic)]


def training_arguments(settings: TrainingSettings, run_dir: Path) -> Seq2SeqTrainingArguments:
    """What transformers' trainer is told: the settings, and what the device decides."""
    gpu = torch.cuda.is_available()
    bf16 = gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    return Seq2SeqTrainingArguments(
        output_dir=str(run_dir),
        seed=settings.seed,
        max_steps=settings.steps,
        per_device_train_batch_size=settings.device_batch,
        per_device_eval_batch_size=settings.eval_batch,
        optim=settings.optimizer,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup_steps,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        activation_checkpointing=settings.gradient_checkpointing,
        activation_checkpointing_kwargs=CHECKPOINTING,
        bf16=bf16,
        fp16=gpu and not bf16,
        tf32=True if bf16 else None,
        use_cpu=not gpu,
        ddp_backend="gloo" if "RANK" in os.environ and not gpu else None,
        ddp_find_unused_parameters=False,
        ddp_timeout=round(dist_timeout()) + 60,  # the watchdog speaks first
        average_tokens_across_devices=True,
        eval_strategy="steps",
        eval_steps=settings.eval_steps,
        save_strategy="steps",
        save_steps=settings.eval_steps,
        save_total_limit=None,  # SafeTrainer deletes old checkpoints, once the new one is whole
        load_best_model_at_end=True,
        metric_for_best_model=settings.best_by,
        greater_is_better=False,
        predict_with_generate=True,
        logging_steps=settings.log_steps,
        logging_nan_inf_filter=False,  # a loss that is not finite is shown, not averaged away
        dataloader_num_workers=settings.loader_workers,
        remove_unused_columns=False,
        label_names=["labels"],
        report_to=trackers(run_dir),
        disable_tqdm=not on_terminal(),
    )
