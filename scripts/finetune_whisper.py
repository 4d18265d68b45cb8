"""Adaptation with few weights: a LoRA adapter on a trained Whisper, on one device or many.

In: the trained model and the feature cache. Out: `outputs/finetune_whisper/`, the adapter of the best checkpoint,
`loss.csv` and `wer.csv`. Checkpoints and TensorBoard's events: `runs/finetune_whisper/<hash>/`.

    accelerate launch scripts/finetune_whisper.py --learning_rate 1e-3
"""

from asr.command import run_stage
from asr.params import FinetuneWhisper


def main(params: FinetuneWhisper) -> None:
    from asr.adapter import add_lora
    from asr.features import FeatureCache
    from asr.model import allow_short_context, load_whisper
    from asr.paths import output_folder, run_folder
    from asr.training import (
        NOT_THE_EXPERIMENT,
        TrainingSettings,
        is_first_process,
        remove_checkpoints,
        save_curves,
        train,
    )

    model, tokenizer, _ = load_whisper(params.model_dir, dtype="float32")
    allow_short_context(model)
    adapted = add_lora(model, **params.lora.model_dump(), seed=params.seed)
    caches = [FeatureCache(params.features_dir, split) for split in ("train", "dev")]
    inputs = [params.model_dir / "model.safetensors", *params.features_dir.glob("*/utterances.arrow")]
    run_dir = run_folder("finetune_whisper", params.model_dump(mode="json", exclude=NOT_THE_EXPERIMENT), inputs)

    curves = train(adapted, tokenizer, *caches, TrainingSettings.of(params.model_dump()), run_dir)

    if is_first_process():
        with output_folder(params.output_dir) as folder:
            adapted.save_pretrained(folder)
            save_curves(folder, curves)
        remove_checkpoints(run_dir)


if __name__ == "__main__":
    run_stage(FinetuneWhisper, main)
