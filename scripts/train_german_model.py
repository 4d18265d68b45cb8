"""Training of a Whisper, of all its weights or a part of them, on one device or many.

In: the base model and the feature cache. Out: `outputs/train_german_model/`, the best checkpoint as a plain Whisper,
`loss.csv` and `wer.csv`. Checkpoints and TensorBoard's events: `runs/train_german_model/<hash>/`; a run that was cut
off goes on from its last checkpoint.

    torchrun --standalone --nproc_per_node=2 scripts/train_german_model.py
    torchrun --nproc_per_node=2 scripts/train_german_model.py --base_model=openai/whisper-tiny --freeze_encoder
"""

from functools import partial
from pathlib import Path

from asr.command import run_stage
from asr.guide_flags import FREEZE_ENCODER, guide_flags
from asr.params import TrainGermanModel


def main(params: TrainGermanModel) -> None:
    from asr.domain_tokens import add_domain_tokens, domains_of, new_tokens_of
    from asr.features import open_features
    from asr.lineage import sha256, write_lineage
    from asr.model import load_whisper, require_one_vocabulary, save_whisper
    from asr.paths import run_folder
    from asr.short_context import allow_short_context
    from asr.trainable import train_part
    from asr.training import train
    from asr.training_settings import NOT_THE_EXPERIMENT, TrainingSettings

    model, tokenizer, feature_extractor = load_whisper(params.model_dir, dtype="float32")
    require_one_vocabulary(params.model_dir, model, tokenizer)
    run_dir = run_folder("train_german_model", params.model_dump(mode="json"), ignored=NOT_THE_EXPERIMENT)
    rows = []
    if params.domain.mode == "token":
        cache = open_features(params.features_dir, "train", model.config.num_mel_bins)
        rows = list(add_domain_tokens(model, tokenizer, domains_of(cache.utterances, params.sources)).values())
    allow_short_context(model)
    train_part(model, **params.trainable.model_dump(), token_rows=rows)

    def deliver(folder: Path) -> None:
        save_whisper(folder, model, tokenizer, feature_extractor)
        if tokens := new_tokens_of(tokenizer):
            write_lineage(folder, {"model": sha256(params.model_dir)}, params.model_dump(mode="json"), tokens)

    train(
        model,
        tokenizer,
        params.features_dir,
        TrainingSettings.of(params.model_dump()),
        run_dir=run_dir,
        deliver=deliver,
        output_dir=params.output_dir,
    )


if __name__ == "__main__":
    run_stage(TrainGermanModel, main, partial(guide_flags, switches=FREEZE_ENCODER))
