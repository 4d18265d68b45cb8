"""What travels inside an export: `lineage.json`, where it comes from, and `README.md`, its card in the Hub's form.

    finish_export(export, "ctranslate2", inputs, {"quantization": "int8"})            # by the stage that converts
    write_cards(folder / "cards", metrics, models, {"convert_to_faster/int8": export})    # by the one that judges
    same_export(card, export)                                                  # was it this export that was judged?

The card is made of the lineage alone. A stage that converts knows what its proof on dev has measured; evaluation writes both
files anew, elsewhere, with the figures of the test sets.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.dvc_lock import stages_before
from asr.lineage import sha256, write_lineage
from asr.model_card import (
    SILENCE,
    Metrics,
    base_name,
    commit,
    compare,
    comparison,
    head,
    in_silence,
    licence,
    silences,
    sources,
    told_language,
    words,
)

CARD, LINEAGE = "README.md", "lineage.json"
PROVED = ("recordings", "seconds", "language", "identical_transcripts", "errors", "figures")  # of parity.json
DEV = "dev"  # the split that proves an export
TEST = "test"  # beside it and `SILENCE`, what evaluation adds
TRAININGS = ("train_german_model", "finetune_whisper")


@dataclass(frozen=True)
class Form:
    """What an export's folder holds, and how somebody else opens it."""

    title: str
    library: str  # as the Hub calls it
    readers: str
    install: str
    use: str  # `{language}` is an argument, or nothing where no one language is known


FORMS = {
    "ctranslate2": Form(
        "CTranslate2",
        "ctranslate2",
        "faster-whisper and RealtimeSTT",
        "pip install faster-whisper",
        """from faster_whisper import WhisperModel
segments, _ = WhisperModel("path/to/this/folder").transcribe("recording.wav"{language})
print(*(segment.text for segment in segments))""",
    ),
    "ggml": Form(
        "ggml",
        "whisper.cpp",
        "whisper.cpp and the programs built on it",
        "pip install pywhispercpp",
        """from pywhispercpp.model import Model
segments = Model("path/to/this/folder/ggml-model.bin").transcribe("recording.wav"{language})
print(*(segment.text for segment in segments))""",
    ),
    "onnx": Form(
        "ONNX",
        "onnx",
        "onnxruntime and Hugging Face Optimum",
        "pip install optimum-onnx[onnxruntime] soundfile",
        """import soundfile
from optimum.onnxruntime import ORTModelForSpeechSeq2Seq
from transformers import AutoProcessor

folder, (sound, rate) = "path/to/this/folder", soundfile.read("recording.wav")  # mono, 16 kHz, up to 30 s
model, processor = ORTModelForSpeechSeq2Seq.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
features = processor(sound, sampling_rate=rate, return_tensors="pt").input_features
print(*processor.batch_decode(model.generate(features{language}), skip_special_tokens=True))""",
    ),
}


def finish_export(
    export: Path, form: str, inputs: dict[str, str], params: dict, new_tokens: Sequence[str] = ()
) -> None:
    """Write both files into an export, after its proof (`parity.json`, if there was one).

    `data` and `stages` of the lineage, hashes and parameters of what came before, are what DVC has recorded; they are null if
    a person runs the stage, where they could be another model's.

    Args:
        form: a name in `FORMS`.
        inputs, params, new_tokens: as in `write_lineage`.
    """
    write_lineage(export, inputs, params, new_tokens)
    before, parity = stages_before(), export / "parity.json"
    metrics = {}
    if parity.is_file():
        measured = json.loads(parity.read_text(encoding="utf-8"))
        metrics[DEV] = {name: measured[name] for name in PROVED}
    told = {"form": form, "metrics": metrics}
    told |= {"data": before.data if before else None, "stages": before.params if before else None}
    _write(export, _read(export) | told)


def write_cards(folder: Path, metrics: Metrics, models: Mapping[str, Path], exports: Mapping[str, Path]) -> None:
    """`<stage>/<export>/README.md` and `lineage.json` in `folder`, with the figures of the test sets.

    Args:
        folder: made if it is not there, though there be no export.
        metrics: as `metrics.json` has them.
        models: folders by their names in `metrics`; first the one that training started from.
        exports: folders by their names in `metrics`, `<stage>/<export>`.
    """
    folder.mkdir(exist_ok=True)
    of_digest = {sha256(path): name for name, path in models.items()} if exports else {}
    for name, export in exports.items():
        lineage = _read(export)
        after = of_digest.get(lineage.get("inputs", {}).get("model", {}).get("sha256"), "")
        before = next(iter(models))
        models_of = ({"before": before} if before != after else {}) | {"after": after, "export": name}
        tested = compare(metrics, models_of)
        silent = {SILENCE: of} if (of := silences(metrics, models_of)) else {}
        lineage["metrics"] = lineage.get("metrics", {}) | {TEST: tested} | silent
        (card := folder / name).mkdir(parents=True, exist_ok=True)
        _write(card, lineage)


def same_export(card: Path, export: Path) -> bool:
    """Whether the card that evaluation wrote is this export's: all is the same but the figures of the test sets."""
    own = _untested(export)
    return bool(own) and _untested(card) == own


def card_of(lineage: Mapping, kind: str) -> str:
    """An export's card: README.md's text.

    Args:
        lineage: what lineage.json holds, or of an export without one {"metrics": …} alone.
        kind: of weights, as the export's folder is called.
    """
    form, metrics, stages = FORMS.get(lineage.get("form", "")), lineage["metrics"], lineage.get("stages") or {}
    proof, tested = metrics.get(DEV), metrics.get(TEST)
    given = trained_on(stages)
    languages = languages_of(given) or ([proof["language"]] if proof else [])
    base = base_name(stages["base_model"]) if "base_model" in stages else ""
    compared = tested or ({DEV: proof["figures"]} if proof else {})
    name = "-".join(["whisper", *languages[:1], *([form.title.lower()] if form else []), kind])
    tags, split = [form.title.lower()] if form else [], "test" if tested else "validation"
    sections = [
        head(name, base, languages, form.library if form else None, tags, compared, "export", split),
        f"# {words(name)}",
        _origin(lineage, form, kind, base),
    ]
    if form:
        language = f', language="{told}"' if (told := told_language(languages)) else ""
        code = form.use.replace("{language}", language)
        sections.append(f"## Use\n\n`{form.install}`, then:\n\n```python\n{code}\n```")
    sections.append(f"## Before and after\n\n{_measured(proof, tested, metrics.get(SILENCE, {}))}")
    if given:
        sections.append(f"## Data\n\n{sources({source: of.get('licence', '') for source, of in given.items()})}")
    sections.append(f"## Licence\n\n{licence(base)}")
    return "\n\n".join(sections) + "\n"


def trained_on(stages: Mapping[str, Mapping]) -> dict[str, Mapping]:
    """The sources of prepare_audio's parameters that a training draws from; those that are judged on alone are no data of a model."""
    sources = stages.get("prepare_audio", {}).get("sources", {})
    drawn = {name for stage in TRAININGS for name in stages.get(stage, {}).get("sources", {})}
    return {name: of for name, of in sources.items() if name in drawn or not drawn}


def languages_of(sources: Mapping[str, Mapping]) -> list[str]:
    return sorted({source["language"] for source in sources.values() if "language" in source})


def _origin(lineage: Mapping, form: Form | None, kind: str, base: str) -> str:
    trained = f"trained from {words(base)}, and " if base else ""
    what = f"A Whisper in the form of {form.title}, which {form.readers} read" if form else "A Whisper"
    return (
        f"{what}; weights `{kind}`; {trained}converted with Flüsterwerk ({commit(lineage.get('git'))}). `{LINEAGE}` says what it was made from "
        "and with: hashes, parameters, versions and all figures."
    )


def _measured(proof: Mapping | None, tested: Mapping | None, silent: Mapping) -> str:
    """The comparison, and which recordings it is on."""
    parts = []
    if tested:
        parts.append(f"Before training, after it, and this export, on test recordings:\n\n{comparison(tested)}")
    if silent:
        parts.append(in_silence(silent))
    if proof:
        named = {f"{DEV}, {proof['recordings']} recordings": proof["figures"]}
        parts.append(
            f"The proof of this export, on recordings of {DEV}, which also chose the checkpoint: they show that the export "
            f"is the model, not how good it is on what is new.\n\n{comparison(named)}\n\n{_nearness(proof)}"
        )
    else:
        parts.append("This export was not compared with its model.")
    if not tested:
        parts.append(
            "The figures of the test sets stand in the card that the stage `evaluation` writes, in `outputs/evaluation/cards`."
        )
    return "\n\n".join(parts)


def _nearness(proof: Mapping) -> str:
    errors = proof["errors"]
    interval = " [{:.2f}, {:.2f}]".format(*(100 * bound for bound in errors["interval"])) if errors["interval"] else ""
    same = round(proof["identical_transcripts"] * proof["recordings"])
    return (
        f"{same} of {proof['recordings']} transcripts are those of the model after training, to the letter; {errors['figure'].upper()} "
        f"differs by {100 * errors['difference']:.2f} points{interval}."
    )


def _untested(folder: Path) -> dict:
    """An export's lineage without what evaluation adds."""
    lineage = _read(folder)
    metrics = {name: of for name, of in lineage.pop("metrics", {}).items() if name not in (TEST, SILENCE)}
    return lineage | ({"metrics": metrics} if metrics else {})


def _read(folder: Path) -> dict:
    file = folder / LINEAGE
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _write(folder: Path, lineage: Mapping) -> None:
    text = json.dumps(lineage, ensure_ascii=False, indent=1, sort_keys=True)
    (folder / LINEAGE).write_text(text + "\n", encoding="utf-8")
    (folder / CARD).write_text(card_of(lineage, folder.name), encoding="utf-8")
