"""The card of a trained model: what it was trained from and on, how, and what that changed, as the Hub shows it.

    text = model_card(name="somebody/whisper-de", base="openai/whisper-tiny", …)      # README.md, with its YAML head

In: what the stages have written (metrics, counts of the data, the git commit) and the recipe's parameters. Out: Markdown.
"""

from collections.abc import Mapping

from huggingface_hub import EvalResult, ModelCardData

from asr.gates import Metrics

# Of the weights that OpenAI has on the Hub, by the beginning of their id; the first that fits.
LICENCES = {"openai/whisper-large-v3-turbo": "mit", "openai/": "apache-2.0"}


def model_card(
    name: str,
    base: str,
    before: str,
    after: str,
    metrics: Metrics,
    data: Mapping[str, Mapping],
    licences: Mapping[str, str],
    languages: list[str],
    params: str,
    commit: str,
) -> str:
    """The card's text.

    Args:
        name: owner/name on the Hub.
        base: what was trained from: an id on the Hub, or words.
        before: the model in `metrics` that training started from.
        after: the one that is published.
        metrics: `{model: {test_set: {"wer", "cer", "words", …}}}`, rates as fractions.
        data: `{source: {split: {"kept", "hours", "speakers", …}}}`, as stats.json has it.
        licences: of the sources; "" where nobody said.
        params: the recipe's params.yaml.
        commit: of the repository that trained it.
    """
    head = ModelCardData(
        model_name=name.split("/")[-1],
        language=languages,
        license=_known_licence(base) or "other",
        base_model=base if "/" in base else None,
        library_name="transformers",
        pipeline_tag="automatic-speech-recognition",
        tags=["whisper"],
        eval_results=[
            EvalResult("automatic-speech-recognition", test_set, test_set, metric, round(figures[metric], 4))
            for test_set, figures in metrics.get(after, {}).items()
            for metric in ("wer", "cer")
        ],
    )
    sections = [
        f"---\n{head.to_yaml()}\n---",
        f"# {name.split('/')[-1]}",
        f"A Whisper, trained from {base} with Flüsterwerk (commit `{commit}`).",
        f"## Before and after\n\n{_comparison(metrics, before, after)}",
        f"## Data\n\n{_data(data, licences)}",
        f"## Licence\n\n{_licence(base)} Each source of the data has its own, above; whoever passes the model on has to see "
        "that they allow it.",
        f"## Parameters\n\n```yaml\n{params.strip()}\n```",
    ]
    return "\n\n".join(sections) + "\n"


def _licence(base: str) -> str:
    licence = _known_licence(base)
    return f"That of {base}, {licence}." if licence else f"That of what it was trained from, {base}."


def _known_licence(base: str) -> str:
    return next((licence for beginning, licence in LICENCES.items() if base.startswith(beginning)), "")


def _comparison(metrics: Metrics, before: str, after: str) -> str:
    rows = [
        "| test set | words | WER before | WER after | CER before | CER after |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for test_set, figures in metrics[after].items():
        first = metrics.get(before, {}).get(test_set, {})
        cells = [f"{100 * of[rate]:.2f} %" if rate in of else "" for rate in ("wer", "cer") for of in (first, figures)]
        rows.append(f"| {test_set} | {figures['words']} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _data(data: Mapping[str, Mapping], licences: Mapping[str, str]) -> str:
    rows = ["| source | split | utterances | hours | speakers | licence |", "| --- | --- | ---: | ---: | ---: | --- |"]
    for source, splits in data.items():
        for split, counts in splits.items():
            licence = licences.get(source) or "not told"
            rows.append(
                f"| {source} | {split} | {counts['kept']} | {counts['hours']:.2f} | {counts['speakers']} | {licence} |"
            )
    return "\n".join(rows)
