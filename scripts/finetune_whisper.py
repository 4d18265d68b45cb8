"""Adaptation with few weights: a LoRA adapter on a trained Whisper, on one device or many.

In: the trained model and the feature cache. Out: `outputs/finetune_whisper/`, the adapter of the best checkpoint,
`loss.csv` and `wer.csv`. Checkpoints and TensorBoard's events: `runs/finetune_whisper/<hash>/`.

    accelerate launch scripts/finetune_whisper.py --learning_rate 1e-3
"""

from asr.command import run_stage
from asr.params import FinetuneWhisper


def main(params: FinetuneWhisper) -> None:
    from asr.adapter import add_lora, save_adapter
    from asr.features import open_features
    from asr.labels import Labeler
    from asr.model import allow_short_context, load_whisper
    from asr.paths import run_folder
    from asr.selection import tokens_of
    from asr.training import NOT_THE_EXPERIMENT, TrainingSettings, train

    model, tokenizer, _ = load_whisper(params.model_dir, dtype="float32")
    allow_short_context(model)
    train_cache = open_features(params.features_dir, "train", model.config.num_mel_bins)
    rows = tokens_of(train_cache, params.sources, Labeler(tokenizer)) if params.lora.token_rows else []
    adapted = add_lora(model, **params.lora.model_dump() | {"token_rows": rows}, seed=params.seed)
    train(
        adapted,
        tokenizer,
        params.features_dir,
        TrainingSettings.of(params.model_dump()),
        run_dir=run_folder("finetune_whisper", params.model_dump(mode="json"), ignored=NOT_THE_EXPERIMENT),
        deliver=lambda folder: save_adapter(adapted, folder),
        output_dir=params.output_dir,
    )


if __name__ == "__main__":
    run_stage(FinetuneWhisper, main)
