"""Adapter + model -> a plain Whisper, merged in float32 and proved on real audio before it is saved.

In: a model, an adapter trained on it (of the LoRA family, or its last blocks), the feature cache's dev utterances.
Out: `outputs/merge_lora/`, a plain Whisper with the model's own tokenizer and feature extractor, the adapter's learning curves, and the
domains' tokens if the adapter brought some; then `lineage.json` names them.

    python scripts/merge_lora.py --lora_model outputs/finetune_whisper --output_dir outputs/merge_lora
"""

import shutil
from functools import partial

from asr.command import run_stage
from asr.guide_flags import guide_flags
from asr.params import MergeLora


def main(params: MergeLora) -> None:
    from asr.adapter import load_adapter, merge, require_adapter
    from asr.base import check_base
    from asr.batches import Collator, WindowDataset
    from asr.chosen_layers import holds_layers, put_back
    from asr.domain_tokens import add_domain_tokens, domains_of_tokens, new_tokens_of
    from asr.features import open_features
    from asr.labels import Labeler
    from asr.lineage import sha256, write_lineage
    from asr.model import load_whisper, require_one_vocabulary, save_whisper
    from asr.paths import output_folder
    from asr.selection import evaluation_windows

    adapter = params.lora_model
    if not holds_layers(adapter):
        require_adapter(adapter)
    model, tokenizer, feature_extractor = load_whisper(params.model_dir, dtype="float32")
    require_one_vocabulary(params.model_dir, model, tokenizer)
    if tokens := check_base(adapter, params.model_dir, model.config):
        add_domain_tokens(model, tokenizer, domains_of_tokens(tokens))
    cache = open_features(params.features_dir, "dev", model.config.num_mel_bins)
    dataset = WindowDataset(cache, Labeler(tokenizer))
    sources = sorted(set(cache.utterances["source"][:]))
    examples = [dataset[window] for window in evaluation_windows(cache, sources, limit=4)]
    batch = Collator(tokenizer.eos_token_id)(examples)
    batch = {name: batch[name] for name in ("input_features", "decoder_input_ids")}

    if holds_layers(adapter):
        merged = put_back(model, adapter, batch, params.tolerance)
    else:
        merged = merge(load_adapter(model, adapter), batch, params.tolerance)

    with output_folder(params.output_dir) as folder:
        save_whisper(folder, merged, tokenizer, feature_extractor)
        for curve in adapter.glob("*.csv"):  # of the training that made it what it is
            shutil.copyfile(curve, folder / curve.name)
        if tokens := new_tokens_of(tokenizer):
            inputs = {"model": sha256(params.model_dir), "adapter": sha256(adapter)}
            write_lineage(folder, inputs, {"tolerance": params.tolerance}, tokens)


if __name__ == "__main__":
    run_stage(MergeLora, main, partial(guide_flags, switches={}))
