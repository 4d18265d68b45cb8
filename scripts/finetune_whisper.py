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
    from asr.adapter import RankSchedule, add_adapter, save_adapter
    from asr.base import describe_base, write_base
    from asr.chosen_layers import save_layers
    from asr.domain_tokens import add_domain_tokens, domains_of, new_tokens_of
    from asr.features import open_features
    from asr.labels import Labeler
    from asr.model import allow_short_context, load_whisper, require_one_vocabulary
    from asr.paths import run_folder
    from asr.quantized import held_in, keep_as_loaded
    from asr.selection import tokens_of
    from asr.trainable import train_part
    from asr.training import NOT_THE_EXPERIMENT, TrainingSettings, train

    chosen = params.adapter
    model, tokenizer, _ = load_whisper(params.model_dir, dtype="float32", **held_in(chosen.quantize))
    require_one_vocabulary(params.model_dir, model, tokenizer)
    keep_as_loaded(model)
    known = new_tokens_of(tokenizer)
    run_dir = run_folder("finetune_whisper", params.model_dump(mode="json"), ignored=NOT_THE_EXPERIMENT)
    allow_short_context(model)
    cache = open_features(params.features_dir, "train", model.config.num_mel_bins)
    rows = tokens_of(cache, params.sources, Labeler(tokenizer)) if chosen.token_rows else []
    if params.domain.mode == "token":
        rows += add_domain_tokens(model, tokenizer, domains_of(cache.utterances, params.sources)).values()
    added = [token for token in new_tokens_of(tokenizer) if token not in known]
    base = describe_base(params.model_dir, model.config, added)
    if chosen.method == "layers":
        blocks = chosen.model_dump(include={"encoder_blocks", "decoder_blocks"})
        train_part(model, "last_blocks", **blocks, token_rows=rows)
        trained, save = model, partial(save_layers, model, **blocks)
    else:
        values = chosen.model_dump(exclude={"quantize", "adalora"}) | {"token_rows": rows}
        ranks = RankSchedule(params.steps, **chosen.adalora.model_dump())
        trained = add_adapter(model, **values, ranks=ranks, seed=params.seed)
        save = partial(save_adapter, trained)

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
