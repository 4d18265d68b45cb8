"""Full-parameter training of a Whisper, on one device or many.

In: the base model and the feature cache. Out: `outputs/train_german_model/`, the best checkpoint as a plain Whisper,
`loss.csv` and `wer.csv`. Checkpoints and TensorBoard's events: `runs/train_german_model/<hash>/`; a run that was cut
off goes on from its last checkpoint.

    torchrun --standalone --nproc_per_node=2 scripts/train_german_model.py
"""

from asr.command import run_stage
from asr.params import TrainGermanModel


def main(params: TrainGermanModel) -> None:
    from asr.model import allow_short_context, load_whisper, save_whisper
    from asr.paths import run_folder
    from asr.training import NOT_THE_EXPERIMENT, TrainingSettings, train

    model, tokenizer, feature_extractor = load_whisper(params.model_dir, dtype="float32")
    allow_short_context(model)
    train(
        model,
        tokenizer,
        params.features_dir,
        TrainingSettings.of(params.model_dump()),
        run_dir=run_folder("train_german_model", params.model_dump(mode="json"), ignored=NOT_THE_EXPERIMENT),
        deliver=lambda folder: save_whisper(folder, model, tokenizer, feature_extractor),
        output_dir=params.output_dir,
    )


if __name__ == "__main__":
    run_stage(TrainGermanModel, main)
