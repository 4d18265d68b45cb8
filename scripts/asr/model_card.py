"""The card of a model: what it was trained from and on, how, and what that changed, as the Hub shows it.

    text = model_card(name="somebody/whisper-de", base="openai/whisper-tiny", …)      # README.md, with its YAML head

In: what the stages have written: metrics, counts of the data, the git commit. Out: Markdown, in which words that come from data
stay words. `export_cards.py` makes the exports' cards of the same parts.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePath

from huggingface_hub import EvalResult, ModelCardData

# Of the weights that OpenAI has on the Hub, by the beginning of their id; the first that fits.
LICENCES = {"openai/whisper-large-v3-turbo": "mit", "openai/": "apache-2.0"}

NEW = "new weights"  # what was trained from, where it had learnt nothing yet
SILENCE = "silence"  # `asr.judged`'s test set in which nobody speaks
TASK = "automatic-speech-recognition"
SIDES = ("before", "after", "export")  # of a comparison, in a table's order
RATES = ("wer", "cer")

USE = """## Use

`pip install torch transformers soundfile`, then:

```python
import soundfile
from transformers import pipeline

sound, rate = soundfile.read("recording.wav")  # mono, 16 kHz, up to 30 s
transcribe = pipeline("automatic-speech-recognition", "{name}")
print(transcribe({"raw": sound, "sampling_rate": rate}{language})["text"])
```"""

# {model: {test set: {"wer", …}}}, as `metrics.json` has them
Metrics = Mapping[str, Mapping[str, Mapping]]
# {test set: {side: {"wer", "wer_low", "wer_high", "cer", …, "words", "profile"}}}, rates as fractions
Comparison = Mapping[str, Mapping[str, Mapping]]


def model_card(
    name: str,
    base: str,
    before: str,
    after: str,
    metrics: Metrics,
    data: Mapping[str, Mapping],
    licences: Mapping[str, str],
    languages: list[str],
    git: Mapping | None,
) -> str:
    """The text of a trained model's card.

    Args:
        name: owner/name on the Hub.
        base: what was trained from: an id on the Hub, or words.
        before: the model in `metrics` that training started from.
        after: the one that is published.
        metrics: `{model: {test_set: {"wer", "cer", "words", …}}}`, rates as fractions.
        data: `{source: {split: {"kept", "hours", "speakers", …}}}`, as stats.json has it.
        licences: of the sources; "" where nobody said.
        git: of the repository that made it, as `lineage.json` has it; None where nobody knows.
    """
    sides = {"before": before, "after": after}
    compared, title = compare(metrics, sides), name.split("/")[-1]
    language = f', generate_kwargs={{"language": "{told}"}}' if (told := told_language(languages)) else ""
    sections = [
        head(title, base, languages, "transformers", [], compared, "after"),
        f"# {words(title)}",
        f"A Whisper, trained from {words(base)} with Flüsterwerk ({commit(git)}). `lineage.json` says what it was made from and "
        "with: hashes, parameters and versions.",
        USE.replace("{name}", name).replace("{language}", language),
        "\n\n".join(filter(None, ("## Before and after", comparison(compared), in_silence(silences(metrics, sides))))),
        f"## Data\n\n{_data(data, licences)}",
        f"## Licence\n\n{licence(base)}",
    ]
    return "\n\n".join(sections) + "\n"


def head(
    name: str,
    base: str,
    languages: Sequence[str],
    library: str | None,
    tags: Sequence[str],
    compared: Comparison,
    side: str,
    split: str = "test",
) -> str:
    """The card's YAML head, from which the Hub makes its filters and figures.

    Args:
        base: what was trained from; an id on the Hub goes into the head, words do not.
        library: what loads the model, as the Hub calls it.
        compared, side: whose rates are the model's.
        split: what the recordings were to the training.
    """
    results = [
        EvalResult(
            task_type=TASK,
            dataset_type=test_set,
            dataset_name=test_set,
            dataset_split=split,
            metric_type=rate,
            metric_value=round(figures[rate], 4),
            metric_args=_how(figures, rate),
        )
        for test_set, sides in compared.items()
        for figures in (sides.get(side, {}),)
        for rate in RATES
        if rate in figures
    ]
    data = ModelCardData(
        model_name=name,
        language=list(languages) or None,
        license=_known_licence(base) or "other",
        base_model=base if "/" in base else None,
        library_name=library,
        pipeline_tag=TASK,
        tags=["whisper", *tags],
        eval_results=results or None,
    )
    return f"---\n{data.to_yaml()}\n---"


def compare(metrics: Metrics, models: Mapping[str, str]) -> Comparison:
    """What `metrics.json` has of models on the test sets of the last of them, where words were counted.

    Args:
        models: names in `metrics` by side; one that is not there, or not judged on a test set, is left out.
    """
    last = list(models.values())[-1]
    return {
        test_set: {
            side: metrics[model][test_set] for side, model in models.items() if test_set in metrics.get(model, {})
        }
        for test_set, figures in metrics[last].items()
        if "wer" in figures
    }


def comparison(compared: Comparison) -> str:
    """A table with a line a test set; rates in percent, each with its 95 % interval where that is known."""
    present = [side for side in SIDES if any(side in sides for sides in compared.values())]
    columns = {f"{rate.upper()} {side}": (side, rate) for rate in RATES for side in present}
    rows = []
    for test_set, sides in compared.items():
        first = next(iter(sides.values()))
        cells = [_rate(sides.get(side, {}), rate) for side, rate in columns.values()]
        rows.append([words(test_set), first["words"], *cells, words(first.get("profile", ""))])
    text = table(["test set", "words", *columns, "normaliser"], rows, numbers=["words", *columns])
    units = {of["resampled_by"] for sides in compared.values() for of in sides.values() if "resampled_by" in of}
    drawn = f", resampled by {' or '.join(sorted(units))}" if units else ""
    too_narrow = "; by utterance they are too narrow, since a speaker's go together" if "utterance" in units else ""
    return f"{text}\n\nRates on normalised text; in brackets their 95 % intervals{drawn}{too_narrow}."


def in_silence(figures: Mapping[str, Mapping]) -> str:
    """A sentence on what the last of the sides writes where nobody speaks, of `{side: figures}`; "" if it was not asked."""
    if not figures:
        return ""
    last = list(figures.values())[-1]
    was = f" (before: {figures['before']['with_text']:.0%})" if "before" in figures else ""
    return (
        f"Where nobody speaks it writes something in {last['with_text']:.0%} of {last['clips']} clips{was}, in "
        f"{last['phantom']:.0%} a phrase that Whispers are known for."
    )


def silences(metrics: Metrics, models: Mapping[str, str]) -> dict[str, Mapping]:
    """What `metrics.json` has by side of the test set in which nobody speaks, if the last of the models was judged on it."""
    of = {side: metrics[model][SILENCE] for side, model in models.items() if SILENCE in metrics.get(model, {})}
    return of if list(models)[-1] in of else {}


def table(names: Sequence[str], rows: Sequence[Sequence], numbers: Collection[str]) -> str:
    """Markdown's table; the columns called `numbers` to the right. What comes from data has been through `words`."""
    lines = [names, ["---:" if name in numbers else "---" for name in names], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def words(text: object) -> str:
    """A text as one line of Markdown that means nothing but its words, in a table too."""
    return re.sub(r"([\\`*_~&\[\]<>|])", r"\\\1", " ".join(str(text).split()))


def licence(base: str) -> str:
    """The section on what the model may be used for; `base` as in `head`, "" where nobody knows."""
    if base == NEW:
        own = "The weights are trained from new ones, so that no other model's licence comes with them."
    elif known := _known_licence(base):
        own = f"That of {words(base)}, {known}."
    else:
        own = f"That of what it was trained from{', ' + words(base) if base else ''}."
    return f"{own} Each source of the data has its own; whoever passes the model on has to see that they allow it."


def told_language(languages: Sequence[str]) -> str:
    """What the lines of a card tell a model; "" where it has to find out, or knows English alone and refuses to be told."""
    return languages[0] if len(languages) == 1 and languages[0] != "en" else ""


def commit(git: Mapping | None) -> str:
    """In words, of what `lineage.json` has: a "+" where code or params differed from it."""
    return f"commit `{git['commit']}{'+' if git['dirty'] else ''}`" if git else "commit unknown"


def base_name(section: Mapping) -> str:
    """What training started from, of `base_model`'s parameters: an id on the Hub, or words."""
    if section["source"] == "hub":
        return section["hub"]["id"]
    return NEW if section["source"] == "new" else PurePath(section["folder"]).name


def _known_licence(base: str) -> str:
    return next((licence for beginning, licence in LICENCES.items() if base.startswith(beginning)), "")


def _rate(figures: Mapping, rate: str) -> str:
    if rate not in figures:
        return ""
    bounds = [figures[f"{rate}_{end}"] for end in ("low", "high") if f"{rate}_{end}" in figures]
    return f"{100 * figures[rate]:.2f} %" + (
        f" [{', '.join(f'{100 * bound:.2f}' for bound in bounds)}]" if bounds else ""
    )


def _how(figures: Mapping, rate: str) -> dict | None:
    """What belongs to a rate: the normaliser, and the interval."""
    told = {"normaliser": figures["profile"]} if "profile" in figures else {}
    if f"{rate}_low" in figures:
        told["interval_95"] = [round(figures[f"{rate}_{end}"], 4) for end in ("low", "high")]
    return told or None


def _data(data: Mapping[str, Mapping], licences: Mapping[str, str]) -> str:
    rows = [
        [words(source), split, of["kept"], f"{of['hours']:.2f}", of["speakers"], _told(licences.get(source))]
        for source, splits in data.items()
        for split, of in splits.items()
    ]
    numbers = ["utterances", "hours", "speakers"]
    return table(["source", "split", *numbers, "licence"], rows, numbers)


def sources(licences: Mapping[str, str]) -> str:
    """A table of the data's sources alone, where their sizes are not at hand."""
    return table(["source", "licence"], [[words(name), _told(of)] for name, of in licences.items()], [])


def _told(licence: str | None) -> str:
    return words(licence or "not told")
