"""Adapter + model -> a plain Whisper, merged in float32 and proved on real audio before it is saved.

In: a model, an adapter trained on it, the feature cache's dev utterances. Out: `outputs/merge_lora/`, a plain Whisper
with the model's own tokenizer and feature extractor.

    python scripts/merge_lora.py --lora_model outputs/finetune_whisper --output_dir outputs/merge_lora
"""

from asr.command import run_stage
from asr.params import MergeLora


def main(params: MergeLora) -> None:
    from asr.adapter import load_adapter, merge
    from asr.batches import Collator, WindowDataset
    from asr.features import open_features
    from asr.labels import Labeler
    from asr.model import load_whisper, save_whisper
    from asr.paths import output_folder
    from asr.selection import evaluation_windows

    model, tokenizer, feature_extractor = load_whisper(params.model_dir, dtype="float32")
    cache = open_features(params.features_dir, "dev", model.config.num_mel_bins)
    dataset = WindowDataset(cache, Labeler(tokenizer))
    sources = sorted(set(cache.utterances["source"][:]))
    examples = [dataset[window] for window in evaluation_windows(cache, sources, limit=4)]
    batch = Collator(tokenizer.eos_token_id)(examples)
    batch.pop("labels")

    merged = merge(load_adapter(model, params.lora_model), batch, params.tolerance)

    with output_folder(params.output_dir) as folder:
        save_whisper(folder, merged, tokenizer, feature_extractor)


if __name__ == "__main__":
    run_stage(MergeLora, main)
