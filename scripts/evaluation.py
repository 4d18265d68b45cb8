"""Every model and every export on every test set: WER, CER and counts, judged by the gates of `params.yaml`.

In: prepare_audio's test split, the models, convert_to_faster's folders.
Out: `outputs/evaluation/metrics.json`, `{model: {test_set: {"wer", "wer_low", "wer_high", "cer", …, "words", "substitutions",
"deletions", "insertions", "profile"}}}`, rates as fractions; `differences.json`, each model against each on the same utterances;
`predictions.jsonl`, one line for each model and utterance; `report.html`, all of it to look at and listen to. A missed gate fails
the stage, after all are written. The models in them:

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
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from asr.command import run, run_stage
from asr.environment import workers
from asr.errors import UserError
from asr.gates import Gate, expand, judge
from asr.params import Evaluation
from asr.paths import output_folder, require_folder

if TYPE_CHECKING:
    from asr.normaliser import Normaliser
    from asr.test_sets import Recordings

FIGURES = (
    *("wer", "wer_low", "wer_high", "cer", "cer_low", "cer_high", "mer", "wer_raw", "cer_raw", "wer_compounds"),
    *("words", "substitutions", "deletions", "insertions", "rambling"),
)
LOST = "lost_sentences"  # of long recordings alone
SILENCE = "silence"  # the test set in which nobody speaks
SILENCE_FIGURES = ("clips", "with_text", "phantom", "no_speech_probability")
TRANSFORMERS = "transformers"
DECODINGS = {  # of each export: its name in metrics.json, and the method of `FasterWhisper`
    "convert_to_faster": "greedy",
    "faster_whisper": "default",
    "faster_whisper_without_timestamps": "without_timestamps",
    "faster_whisper_batched": "batched",
}

Transcript = tuple[str, str, int, str]  # model, test set, position in the test set, text


@dataclass(frozen=True)
class Judged:
    """A model, or a way to decode an export, and the test sets that it is judged on."""

    model: str
    folder: Path
    decoding: str
    test_sets: tuple[str, ...]
    figures: tuple[str, ...] = FIGURES


def main(params: Evaluation) -> None:
    plan = list(planned(params))
    gates = [Gate(**gate.model_dump()) for gate in params.gates]
    names = {judged.model: dict.fromkeys(judged.test_sets, judged.figures) for judged in plan}
    expand(
        gates, {model: sets | ({SILENCE: SILENCE_FIGURES} if SILENCE in sets else {}) for model, sets in names.items()}
    )

    from asr.evaluation_page import write_report
    from asr.judging import JudgedSet
    from asr.progress import progress
    from asr.report import silence, table, verdicts
    from asr.silence import silence_figures
    from asr.test_sets import read_test_sets

    short = [*params.test_sets, *params.faster_whisper_test_sets]
    audio_dir = require_folder(params.audio_dir, "run the stage prepare_audio first")
    test_sets = read_test_sets(audio_dir, short, params.long_test_sets)

    if params.silence_seconds:
        test_sets[SILENCE] = silent_recordings(params.silence_seconds, test_sets[params.test_sets[0]].language)
    texts = {
        (judged.model, name): [""] * len(test_sets[name].waveforms) for judged in plan for name in judged.test_sets
    }
    heard_nothing: dict[str, list[float]] = {}
    decoded, count = transcripts(plan, test_sets, params, heard_nothing), sum(map(len, texts.values()))
    try:
        for model, name, position, text in progress(decoded, count, "evaluation", "transcript"):
            texts[model, name][position] = text
    except KeyboardInterrupt:
        raise UserError("interrupted: nothing is written; run the stage again") from None
    normalisers = {name: normaliser_of(params, of.language) for name, of in test_sets.items()}
    judged_sets = {}
    silent = test_sets.pop(SILENCE, None)
    for name, of in test_sets.items():
        heard = {model: written for (model, test_set), written in texts.items() if test_set == name}
        judged_sets[name] = JudgedSet(of.utterances, heard, normalisers[name])
    metrics = figures(plan, judged_sets)
    if silent:
        for (model, name), written in texts.items():
            if name == SILENCE:
                metrics[model][SILENCE] = silence_figures(written, heard_nothing.get(model, []))
    judgement = judge(gates, metrics)
    with output_folder(params.output_dir) as folder:
        (folder / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
        with (folder / "predictions.jsonl").open("w", encoding="utf-8") as file:
            rows = predictions(plan, judged_sets)
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        paired = differences(plan, judged_sets)
        text = json.dumps([vars(one) for one in paired], indent=1)
        (folder / "differences.json").write_text(text + "\n", encoding="utf-8")
        flacs = {id: flac for of in test_sets.values() for id, flac in zip(of.utterances.ids, of.flacs, strict=True)}
        models = list(metrics)
        write_report(folder, models, judged_sets, metrics, paired, judgement, flacs, params.models)
        (folder / "audio").mkdir(exist_ok=True)  # where the page has its recordings inside, DVC still wants it

    print(table(metrics))
    if silent:
        print(f"\n{silence(metrics)}")
    if judgement:
        print(f"\n{verdicts(judgement)}", flush=True)
    missed = [f"  {verdict}" for verdict in judgement if not verdict.passed]
    if missed:
        raise UserError("\n".join([f"{len(missed)} of {len(judgement)} gates missed:", *missed]))


def planned(params: Evaluation) -> Iterator[Judged]:
    """What is judged on what, in the order of `metrics.json`."""
    silent = (SILENCE,) if params.silence_seconds else ()
    if SILENCE in (*params.test_sets, *params.faster_whisper_test_sets, *params.long_test_sets):
        raise UserError(
            f"evaluation: a test set cannot be called {SILENCE}, which is made up by silence_seconds; rename the source"
        )
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
    for name, decoding in DECODINGS.items():
        for export in exports:
            if decoding != "batched":
                sets = {"greedy": short, "default": (*faster, *silent)}.get(decoding, faster)
                yield Judged(f"{name}/{export.name}", export, decoding, sets)
            elif long:
                yield Judged(f"{name}/{export.name}", export, decoding, long, (*FIGURES, LOST))


def silent_recordings(seconds: list[float], language: str) -> "Recordings":
    from asr.judging import Utterances
    from asr.silence import silent_clips
    from asr.test_sets import Recordings

    kinds, clips = zip(*silent_clips(seed=0, seconds=seconds), strict=True)
    nothing = [""] * len(clips)
    return Recordings(list(clips), [], Utterances(kinds, nothing, language, [0.0] * len(clips), nothing, nothing))


def transcripts(
    plan: list[Judged], test_sets: "dict[str, Recordings]", params: Evaluation, heard_nothing: dict[str, list[float]]
) -> Iterator[Transcript]:
    """Every transcript; one folder is loaded at a time. `heard_nothing` gets P(no speech) of the silent clips, by model."""
    for folder, group in groupby(sorted(plan, key=lambda judged: judged.folder), lambda judged: judged.folder):
        yield from transcripts_of(folder, list(group), test_sets, params, heard_nothing)


def transcripts_of(
    folder: Path,
    group: list[Judged],
    test_sets: "dict[str, Recordings]",
    params: Evaluation,
    heard_nothing: dict[str, list[float]],
) -> Iterator[Transcript]:
    """Every transcript of one folder, which is loaded once for all ways to decode it."""
    from asr.transcription import FasterWhisper, Transformers

    if group[0].decoding == TRANSFORMERS:
        engines = {TRANSFORMERS: (opened := Transformers(folder, params.batch))}
        if SILENCE in test_sets:
            nothing = opened.no_speech_probabilities(test_sets[SILENCE].waveforms)
            heard_nothing |= {judged.model: nothing for judged in group}
    else:
        opened = FasterWhisper(folder, params.batch, params.beam_size, workers())
        engines = {judged.decoding: getattr(opened, judged.decoding) for judged in group}
    for judged in group:
        for name in judged.test_sets:
            test_set = test_sets[name]
            for position, text in engines[judged.decoding](test_set.waveforms, test_set.language):
                yield judged.model, name, position, text


def normaliser_of(params: Evaluation, language: str) -> "Normaliser":
    """What texts in a language are compared as: `params.profile`, else the language's own."""
    from asr.normaliser import Normaliser, profile_of

    return Normaliser.of(params.profile or profile_of(language), params.profiles)


def figures(plan: list[Judged], judged_sets: dict) -> dict:
    """What `metrics.json` holds; a corpus has the sums of its utterances' counts."""
    metrics = {judged.model: {} for judged in plan}
    for judged in plan:
        for name in filter(judged_sets.get, judged.test_sets):
            of = judged_sets[name].figures(judged.model)
            lost = {LOST: sum(judged_sets[name].lost(judged.model))} if LOST in judged.figures else {}
            metrics[judged.model][name] = of | lost
    return metrics


def predictions(plan: list[Judged], judged_sets: dict) -> Iterator[dict]:
    """The lines of `predictions.jsonl`."""
    for judged in plan:
        for name in filter(judged_sets.get, judged.test_sets):
            of = judged_sets[name]
            lost = of.lost(judged.model) if LOST in judged.figures else None
            for i, scored in enumerate(of.scored[judged.model]):
                row = {"model": judged.model, "test_set": name, "id": of.utterances.ids[i]}
                row |= {"reference": of.utterances.references[i], "hypothesis": of.hypotheses[judged.model][i]}
                yield row | scored.figures() | ({LOST: lost[i]} if lost else {})


def differences(plan: list[Judged], judged_sets: dict) -> list:
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
