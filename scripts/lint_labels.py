"""What each training of the recipe will teach, checked row by row and shown: `make lint-labels`.

In: `params.yaml`, the prepared features (or recordings), and the tokenizer. Out: the first windows of each training, decoded;
exit 1 with the row's id where a label breaks a law of `asr/label_laws.py`. A training checks a sample of the same by itself.

    python scripts/lint_labels.py
"""

import sys
from pathlib import Path

from asr.command import run_command
from asr.params import TrainingSection
from asr.params_file import Params

SHOWN = 6  # windows of a training's first step


def main(params: Params) -> None:
    trainings = {name: section for name, section in params if isinstance(section, TrainingSection)}
    for name, section in trainings.items():
        lint(name, section, params.base_model.output_dir if params.base_model else section.model_dir)


def lint(name: str, section: TrainingSection, base_dir: Path) -> None:
    """Check and show one training's labels. `base_dir` has the tokenizer where the model to start from is not made yet."""
    from asr.batches import Collator, WindowDataset
    from asr.domain_tokens import domains_of, extend_tokenizer
    from asr.features import open_features
    from asr.labels import Labeler
    from asr.lint import check_labels, painted, wants_color
    from asr.model import load_without_weights
    from asr.plan import plan_steps
    from asr.prompts import Prompts
    from asr.selection import sources_of
    from asr.training_settings import TrainingSettings

    model_dir = section.model_dir if (section.model_dir / "config.json").is_file() else base_dir
    config, tokenizer, _ = load_without_weights(model_dir)
    settings = TrainingSettings.of(section.model_dump())
    cache = open_features(section.features_dir, "train", config.num_mel_bins)
    for domain in domains_of(cache.utterances, settings.sources) if section.domain.mode == "token" else ():
        extend_tokenizer(tokenizer, domain)
    labeler = Labeler(tokenizer)
    sources = sources_of(cache, settings.sources, labeler)
    dataset = WindowDataset(cache, labeler, Prompts(settings.prompts), settings.augmentation)
    plan = plan_steps(sources, settings.windows, settings.steps, settings.global_batch, settings.seed)
    first = next(plan)
    checked = check_labels(dataset, cache, labeler, first, Collator(labeler.end), settings.sources)
    print(f"{name}: {checked} rows and the first step's {len(first)} windows keep every law; the first of them:")
    for window in first[:SHOWN]:
        print(f"  {painted(dataset.sequence(window), labeler, wants_color(sys.stdout.isatty()))}")


if __name__ == "__main__":
    run_command(main)
