"""Every model and every export on every test set: WER, CER and counts, judged by the gates of `params.yaml`.

In: prepare_audio's test split, the models, convert_to_faster's folders.
Out: `outputs/evaluation/metrics.json`, `{model: {test_set: {"wer", "wer_low", "wer_high", "cer", …, "words", "substitutions",
"deletions", "insertions", "profile"}}}`, rates as fractions; `differences.json`, each model against each on the same utterances;
`predictions.jsonl`, one line for each model and utterance; `speed.json`, how long each took; `report.html`, all of it to look at and
listen to. A missed gate fails the stage, after all are written. The models in them:

    <name of evaluation.models>            transformers, greedy, without timestamps
    convert_to_faster/<q>                  the same decoding by CTranslate2: what the conversion costs
    faster_whisper/<q>                     faster-whisper's defaults
    faster_whisper_without_timestamps/<q>  its defaults but for the timestamps
    faster_whisper_batched/<q>             as RealtimeSTT calls it, on long recordings; with "lost_sentences"

    python scripts/evaluation.py
    python scripts/evaluation.py --beam_size 1 --output_dir /tmp/evaluation

Or the scorer on any two files, of any recogniser:

    python scripts/evaluation.py --predictions hyp.jsonl --references ref.jsonl --profile asr-german-mixed-evals
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from asr.command import run, run_stage
from asr.environment import workers
from asr.errors import UserError
from asr.gates import Gate, expand, judge
from asr.hearing import TRANSFORMERS, Judged, listen
from asr.params import Evaluation
from asr.paths import output_folder, require_folder

if TYPE_CHECKING:
    from asr.judging import JudgedSet
    from asr.normaliser import Normaliser
    from asr.page import Difference

FIGURES = (
    *("wer", "wer_low", "wer_high", "cer", "cer_low", "cer_high", "mer", "wer_raw", "cer_raw", "wer_compounds"),
    *("words", "substitutions", "deletions", "insertions", "rambling"),
)
LOST = "lost_sentences"  # of long recordings alone
SILENCE = "silence"  # the test set in which nobody speaks
SILENCE_FIGURES = ("clips", "with_text", "phantom", "no_speech_probability")
LONG = "batched"  # the decoding for recordings of any length
DECODINGS = {  # of each export: its name in metrics.json, and the method of `FasterWhisper`
    "convert_to_faster": "greedy",
    "faster_whisper": "default",
    "faster_whisper_without_timestamps": "without_timestamps",
    "faster_whisper_batched": LONG,
}


def main(params: Evaluation) -> None:
    plan = list(planned(params))
    gates = [Gate(**gate.model_dump()) for gate in params.gates]
    require_profiles(params.profile, params.profiles)
    expand(gates, {one.model: {name: figures_of(one, name) for name in one.test_sets} for one in plan})

    from asr.evaluation_page import write_report
    from asr.export_cards import write_cards
    from asr.judging import JudgedSet
    from asr.report import silence, table, verdicts
    from asr.silence import silence_figures, silent_clips
    from asr.test_sets import read_test_sets

    short = [*params.test_sets, *params.faster_whisper_test_sets]
    audio_dir = require_folder(params.audio_dir, "run the stage prepare_audio first")
    test_sets = read_test_sets(audio_dir, short, params.long_test_sets)
    waveforms = {name: of.waveforms for name, of in test_sets.items()}
    languages = {name: of.language for name, of in test_sets.items()}
    if params.silence_seconds:
        waveforms[SILENCE] = [clip for _, clip in silent_clips(seed=0, seconds=params.silence_seconds)]
        languages[SILENCE] = languages[params.test_sets[0]]
    heard = listen(plan, waveforms, languages, [SILENCE], params.batch, params.beam_size, workers())

    judged_sets = {
        name: JudgedSet(
            of.utterances,
            {model: texts for (model, test_set), texts in heard.texts.items() if test_set == name},
            normaliser_of(params, of.language),
        )
        for name, of in test_sets.items()
    }
    metrics = figures(plan, judged_sets)
    for (model, name), texts in heard.texts.items():
        if name == SILENCE:
            metrics[model][SILENCE] = silence_figures(texts, heard.no_speech.get((model, name), []))
    judgement, paired = judge(gates, metrics), differences(plan, judged_sets)
    flacs = {id: flac for of in test_sets.values() for id, flac in zip(of.utterances.ids, of.flacs, strict=True)}
    with output_folder(params.output_dir) as folder:
        write_json(folder / "metrics.json", metrics)
        write_json(folder / "differences.json", [vars(one) for one in paired])
        write_json(folder / "speed.json", heard.speed())
        with (folder / "predictions.jsonl").open("w", encoding="utf-8") as file:
            rows = predictions(plan, judged_sets)
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_report(folder, list(metrics), judged_sets, metrics, paired, judgement, flacs, params.models)
        write_cards(
            folder / "cards", metrics, params.models, {of.model: of.folder for of in plan if of.decoding == "greedy"}
        )
        (folder / "audio").mkdir(exist_ok=True)  # where the page has its recordings inside, DVC still wants it

    print(table(metrics))
    if params.silence_seconds:
        print(f"\n{silence(metrics)}")
    if judgement:
        print(f"\n{verdicts(judgement)}", flush=True)
    missed = [f"  {verdict}" for verdict in judgement if not verdict.passed]
    if missed:
        raise UserError("\n".join([f"{len(missed)} of {len(judgement)} gates missed:", *missed]))


def require_profiles(chosen: str, own: Mapping[str, list[str]]) -> None:
    """Raises `UserError` for a name or a step that there is not, before anything is heard."""
    from asr.normaliser import Normaliser

    for name in {*own, *([chosen] if chosen else [])}:
        Normaliser.of(name, own)


def planned(params: Evaluation) -> Iterator[Judged]:
    """What is judged on what, in the order of `metrics.json`."""
    if SILENCE in (*params.test_sets, *params.faster_whisper_test_sets, *params.long_test_sets):
        raise UserError(
            f"evaluation: a test set cannot be called {SILENCE}, which is made up by silence_seconds; rename the source"
        )
    silent = (SILENCE,) if params.silence_seconds else ()
    short, faster, long = (
        tuple(dict.fromkeys(names))
        for names in (params.test_sets, params.faster_whisper_test_sets, params.long_test_sets)
    )
    for model, folder in params.models.items():
        require_folder(folder, f"run the stage that makes it, or give another for evaluation.models.{model}")
        yield Judged(model, folder, TRANSFORMERS, (*short, *silent))
    remedy = "run the stage convert_to_faster first"
    exports = sorted(path for path in require_folder(params.exports_dir, remedy).iterdir() if path.is_dir())
    if not exports:
        raise UserError(f"{params.exports_dir}: no export in it; {remedy}")
    of_decoding = {"greedy": short, "default": (*faster, *silent), LONG: long}
    for name, decoding in DECODINGS.items():
        for export in exports:
            if test_sets := of_decoding.get(decoding, faster):
                yield Judged(f"{name}/{export.name}", export, decoding, test_sets)


def figures_of(judged: Judged, test_set: str) -> tuple[str, ...]:
    """The names of a model's figures on a test set."""
    if test_set == SILENCE:
        return SILENCE_FIGURES
    return (*FIGURES, LOST) if judged.decoding == LONG else FIGURES


def write_json(file: Path, value: object) -> None:
    file.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def normaliser_of(params: Evaluation, language: str) -> "Normaliser":
    """What texts in a language are compared as: `params.profile`, else the language's own."""
    from asr.normaliser import Normaliser, profile_of

    return Normaliser.of(params.profile or profile_of(language), params.profiles)


def figures(plan: list[Judged], judged_sets: "Mapping[str, JudgedSet]") -> dict:
    """What `metrics.json` holds; a corpus has the sums of its utterances' counts."""
    metrics = {judged.model: {} for judged in plan}
    for judged in plan:
        for name in filter(judged_sets.get, judged.test_sets):
            of = judged_sets[name].figures(judged.model)
            lost = {LOST: sum(judged_sets[name].lost(judged.model))} if judged.decoding == LONG else {}
            metrics[judged.model][name] = of | lost
    return metrics


def predictions(plan: list[Judged], judged_sets: "Mapping[str, JudgedSet]") -> Iterator[dict]:
    """The lines of `predictions.jsonl`."""
    for judged in plan:
        for name in filter(judged_sets.get, judged.test_sets):
            of = judged_sets[name]
            lost = of.lost(judged.model) if judged.decoding == LONG else None
            for i, scored in enumerate(of.scored[judged.model]):
                row = {"model": judged.model, "test_set": name, "id": of.utterances.ids[i]}
                row |= {"reference": of.utterances.references[i], "hypothesis": of.hypotheses[judged.model][i]}
                yield row | scored.figures() | ({LOST: lost[i]} if lost else {})


def differences(plan: list[Judged], judged_sets: "Mapping[str, JudgedSet]") -> "list[Difference]":
    """Each model against each that comes before it, on the test sets that both are judged on."""
    from asr.page import Difference

    found = []
    for name, of in judged_sets.items():
        models = [judged.model for judged in plan if name in judged.test_sets]
        for i, model in enumerate(models):
            for other in models[:i]:
                found.append(Difference(model, other, name, **vars(of.difference(model, other))))
    return found


if __name__ == "__main__":
    if any(argument.split("=")[0] == "--predictions" for argument in sys.argv[1:]):
        from asr.judged_files import main as judge_files

        run(lambda: judge_files(sys.argv[1:], __doc__))
    else:
        run_stage(Evaluation, main)
