"""Training: one loop for every way to train, on one device or many.

In: a model, the feature cache, `TrainingSettings`. Out: a folder with the best checkpoint (by word or character error
rate) and the curves. What the loop gets right where the usual recipe does not:

- The loss is the mean over the tokens of the *global* batch, which transformers' own is not (`trainer.py`).
- Labels come finished from `labels.py`: one `<|startoftranscript|>`, nothing stripped, nothing shifted.
- The windows of a step are decided before they are dealt to devices, so GPUS changes the speed and not the experiment.
"""

import math
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import torch
from transformers import Seq2SeqTrainingArguments, TrainerCallback
from transformers.trainer_callback import PrinterCallback

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
from asr.prompts import Prompts
from asr.ranks import RankAllocation, is_adalora
from asr.sampled_vocabulary import SampledVocabulary
from asr.selection import evaluation_windows, sources_of, spoken_of, tokens_of
from asr.sharded import check_shardable, gather
from asr.stopping import EarlyStopping, EvaluationShare, last_step
from asr.trainer import EvaluationSet, WhisperTrainer
from asr.training_settings import TrainingSettings, accumulation_steps
from asr.windows import RankBatches

CHECKED_ROWS = 256  # against the laws of labels, before the first step; `make lint-labels` checks all

# The reentrant way gives no gradient to adapters in the encoder, whose input needs none.
CHECKPOINTING = {"use_reentrant": False}


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
        mels = model.config.num_mel_bins
        train_cache, dev_cache = (open_features(features_dir, split, mels) for split in ("train", "dev"))
        if settings.optimizer == "adamw_8bit":
            require_8bit(arguments.device)
        checkpoint = last_whole_checkpoint(run_dir)
        arguments.max_steps = last_step(checkpoint, settings.steps, settings.best_by, settings.early_stopping)
        trainer = _trainer(model, labeler, train_cache, dev_cache, settings, arguments)
        check_shardable(
            model,
            trainer.is_fsdp_enabled,
            settings.guided_attention_weight > 0,
            keeps_state=bool(companions_of(model, settings)),
        )
        taught = tokens_of(train_cache, settings.sources, labeler) if settings.sampled_tokens else ()
        with added_up_in_order(arguments.device), loss_of(model, labeler, settings, taught):
            trainer.train_on()
        gather(model)
        trainer.accelerator.wait_for_everyone()  # all have read the best checkpoint
        if first:
            with output_folder(output_dir) as folder:
                deliver(folder)
                save_curves(folder, trainer.state.log_history)
            remove_checkpoints(run_dir)
    trainer.end()  # a process that leaves the others without it may crash on its way out


@contextmanager
def added_up_in_order(device: torch.device) -> Iterator[None]:
    """Within it a training on the CPU is the same to the last bit, run after run, with the same number of threads.

    transformers looks the decoder's positions up by an index, and what comes back to each of them torch else adds up in the
    order in which its threads are done. GPUs are left alone: what it would cost there has not been measured.
    """
    deterministic = torch.utils.deterministic
    before = (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled())
    filled = deterministic.fill_uninitialized_memory
    if device.type == "cpu":
        torch.use_deterministic_algorithms(True, warn_only=True)
        deterministic.fill_uninitialized_memory = False  # time for what nobody reads
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        deterministic.fill_uninitialized_memory = filled


def loss_of(model, labeler: Labeler, settings: TrainingSettings, taught: Iterable[int]) -> AbstractContextManager[None]:
    """Within it the model returns the loss that the settings choose; `taught` are the tokens of all texts."""
    whisper = model.get_base_model() if hasattr(model, "get_base_model") else model  # a peft model wraps it
    vocabulary = None
    if settings.sampled_tokens:
        size = whisper.config.vocab_size
        control = range(labeler.end, size)  # and timestamps
        vocabulary = SampledVocabulary([*taught, *control], size, settings.sampled_tokens, settings.seed)
    return training_loss(whisper, labeler, settings.ctc_weight, settings.guided_attention_weight, vocabulary)


def _trainer(
    model, labeler: Labeler, train_cache: FeatureCache, dev_cache: FeatureCache, settings: TrainingSettings, arguments
) -> WhisperTrainer:
    sources = sources_of(train_cache, settings.sources, labeler)
    if settings.ctc_weight or settings.guided_attention_weight:
        _refuse_translations(train_cache, settings.sources)
    eval_windows = evaluation_windows(dev_cache, settings.eval_sources, settings.eval_utterances)
    accumulation = accumulation_steps(settings, arguments.world_size)
    arguments.gradient_accumulation_steps = accumulation
    prompts = Prompts(settings.prompts)
    prompts.check(labeler, spoken_of(train_cache, settings.sources) | spoken_of(dev_cache, settings.eval_sources))
    dataset, collate = WindowDataset(train_cache, labeler, prompts, settings.augmentation), Collator(labeler.end)

    def plan():
        return plan_steps(sources, settings.windows, settings.steps, settings.global_batch, settings.seed)

    if arguments.process_index == 0:
        if first_full := math.ceil(settings.windows.full_from * settings.steps):
            print(
                f"from step {first_full} on, also windows of 30 s and of several utterances: the loss rises for a while",
                flush=True,
            )
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
        companions=companions_of(model, settings),
        callbacks=[LogLines(), EventFiles(Path(arguments.output_dir)), *_observers(settings)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _refuse_translations(cache: FeatureCache, sources: Collection[str]) -> None:
    columns = (cache.utterances[name][:] for name in ("id", "source", "task"))
    for id, source, task in zip(*columns, strict=True):
        if source in sources and task == "translate":
            raise UserError(
                f"{cache.folder}: {id}: its text is a translation, which the sound does not spell; give ctc_weight: 0 and "
                "guided_attention_weight: 0, or leave the source out"
            )


def companions_of(model, settings: TrainingSettings) -> list[Companion]:
    """What goes into checkpoints beside the model: AdaLoRA's ranks, a running average."""
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
