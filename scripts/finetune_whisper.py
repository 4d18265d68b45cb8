"""Adaptation with few weights: an adapter beside a trained Whisper, or its last blocks, on one device or many.

In: the trained model and the feature cache. Out: `outputs/finetune_whisper/`, the adapter of the best checkpoint and what
its base is (`base.json`), `loss.csv` and `wer.csv`. Checkpoints and TensorBoard's events: `runs/finetune_whisper/<hash>/`.

    accelerate launch scripts/finetune_whisper.py --learning_rate 1e-3
    accelerate launch scripts/finetune_whisper.py --base_model=openai/whisper-tiny --use_adalora=True --use_8bit=True
"""

from functools import partial
from pathlib import Path

from asr.command import run_stage
from asr.guide_flags import ADAPTER, guide_flags
from asr.params import FinetuneWhisper


def main(params: FinetuneWhisper) -> None:
    from asr.adapted import adapt
    from asr.base import describe_base, write_base
    from asr.features import open_features
    from asr.model import load_whisper, require_one_vocabulary
    from asr.paths import run_folder
    from asr.quantized import held_in, keep_as_loaded
    from asr.short_context import allow_short_context
    from asr.training import train
    from asr.training_settings import NOT_THE_EXPERIMENT, TrainingSettings

    model, tokenizer, _ = load_whisper(params.model_dir, dtype="float32", **held_in(params.adapter.quantize))
    require_one_vocabulary(params.model_dir, model, tokenizer)
    keep_as_loaded(model)
    run_dir = run_folder("finetune_whisper", params.model_dump(mode="json"), ignored=NOT_THE_EXPERIMENT)
    allow_short_context(model)
    trained, save, added = adapt(
        model,
        tokenizer,
        open_features(params.features_dir, "train", model.config.num_mel_bins),
        params.sources,
        params.adapter.model_dump(),
        tokens=params.domain.mode == "token",
        steps=params.steps,
        seed=params.seed,
    )
    base = describe_base(params.model_dir, model.config, added)

    def deliver(folder: Path) -> None:
        save(folder)
        write_base(folder, base)

    train(
        trained,
        tokenizer,
        params.features_dir,
        TrainingSettings.of(params.model_dump()),
        run_dir=run_dir,
        deliver=deliver,
        output_dir=params.output_dir,
    )


if __name__ == "__main__":
    run_stage(FinetuneWhisper, main, partial(guide_flags, switches=ADAPTER))
