"""Every model and every export on every test set: WER, CER and counts, judged by the gates of `params.yaml`.

In: prepare_audio's test split, the models, the exports of the convert stages.
Out: `outputs/evaluation/metrics.json`, `{model: {test_set: {"wer", "wer_low", "wer_high", "cer", …, "words", "substitutions",
"deletions", "insertions", "profile", "resampled_by"}}}`, rates as fractions; `wer.csv`, what `dvc plots diff` draws of it; `differences.json`,
each model against each on the same utterances; `gates.json`, each gate with its value; `groups.json`, `{kind: {value: {model: figures}}}` of speakers, domains and
durations; `predictions.jsonl`, one line for each model and utterance; `speed.json`, how long each took; `report.html`, all of
it to look at and listen to; `cards/`, a card for each export. A missed gate fails the stage, after all are written. The models
in them:

    <name of evaluation.models>            transformers, greedy, without timestamps
    convert_to_faster/<q>                  the same decoding by CTranslate2: what the conversion costs
    convert_to_ggml/<t>, convert_to_onnx/<d>   the same by whisper.cpp and by onnxruntime
    faster_whisper/<q>                     faster-whisper's defaults
    faster_whisper_without_timestamps/<q>  its defaults but for the timestamps
    faster_whisper_batched/<q>             as RealtimeSTT calls it, on long recordings; with "lost_sentences"
    whisper_cpp/<t>                        whisper.cpp's defaults
    training_data                          no model: how much of a test set was trained on

    python scripts/evaluation.py
    python scripts/evaluation.py --beam_size 1 --output_dir /tmp/evaluation

Or the scorer on any two files, of any recogniser:

    python scripts/evaluation.py --predictions hyp.jsonl --references ref.jsonl --profile asr-german-mixed-evals
"""

import csv
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from asr.command import run, run_stage
from asr.environment import workers
from asr.errors import UserError
from asr.gates import Gate, expand, judge
from asr.hearing import Heard, Ways, listen
from asr.judged import LANGUAGE, LOST, NO_SPEECH, SILENCE, TIMESTAMPS, TRAINING, Judged, Sets, names_of, planned
from asr.params import Evaluation
from asr.paths import output_folder, require_folder, require_writable

if TYPE_CHECKING:
    from asr.judging import JudgedSet
    from asr.normaliser import Normaliser
    from asr.page import Difference

SCORER_FLAGS = ("--pred", "--ref", "--against")  # begin those of the scorer of any two files, and none of the stage's
PLOTTED = ("wer", "wer_low", "wer_high", "cer", "cer_low", "cer_high")


def main(params: Evaluation) -> None:
    sets = Sets(**{name: getattr(params, name) for name in Sets.__dataclass_fields__})
    plan = planned(params.models, {name: folder for name, folder in params.exports if folder}, sets)
    gates = [Gate(**gate.model_dump()) for gate in params.gates]
    require_profiles(params.profile, params.profiles)
    gates = expand(gates, names_of(plan, of_training=bool(params.training_dirs)))
    require_writable(params.output_dir)

    from asr.evaluation_page import write_report
    from asr.export_cards import write_cards
    from asr.intervals import known
    from asr.judging import JudgedSet, grouped, require_words
    from asr.report import told, verdicts
    from asr.seen_in_training import seen_in_training
    from asr.silence import silent_clips
    from asr.test_sets import read_test_sets

    read = {name for one in plan for name in one.test_sets} - {SILENCE}
    short = [name for name in (*params.test_sets, *params.engine_test_sets) if name in read]
    audio_dir = require_folder(params.audio_dir, "run the stage prepare_audio first")
    test_sets = read_test_sets(audio_dir, short, params.long_test_sets)
    for of in test_sets.values():
        require_words(of.utterances, normaliser_of(params, of.language))
    seen = seen_in_training(test_sets, params.training_dirs) if params.training_dirs else {}
    waveforms = {name: of.waveforms for name, of in test_sets.items()}
    languages = {name: of.language for name, of in test_sets.items()}
    silence = silent_clips(seed=0, seconds=params.silence_seconds)
    waveforms[SILENCE], languages[SILENCE] = [clip for _, clip in silence], next(iter(languages.values()))
    heard = listen(plan, waveforms, languages, Ways(params.batch, params.beam_size, workers(), params.piece_seconds))
    for clips in waveforms.values():
        clips.clear()  # the page has the FLAC bytes

    judged_sets = {
        name: JudgedSet(
            of.utterances,
            {model: texts for (model, test_set), texts in heard.texts.items() if test_set == name},
            normaliser_of(params, of.language),
        )
        for name, of in test_sets.items()
    }
    metrics = figures(plan, judged_sets, heard) | ({TRAINING: seen} if seen else {})

    def paired(test_set: str, figure: str, model: str, other: str) -> tuple[float, float]:
        found = judged_sets[test_set].difference(model, other, figure)
        return found.low, found.high

    judgement, compared = judge(gates, metrics, paired), differences(plan, judged_sets)
    rows_of_gates = [verdict.row() for verdict in judgement]
    groups = grouped(judged_sets.values())
    flacs = {id: flac for of in test_sets.values() for id, flac in zip(of.utterances.ids, of.flacs, strict=True)}
    with output_folder(params.output_dir) as folder:
        write_json(folder / "metrics.json", metrics)
        write_plotted(folder / "wer.csv", plan, metrics)
        profiles = {name: of.normaliser.profile for name, of in judged_sets.items()}
        write_json(
            folder / "differences.json", [known(vars(of)) | {"profile": profiles[of.test_set]} for of in compared]
        )
        write_json(folder / "gates.json", rows_of_gates)
        write_json(folder / "groups.json", groups)
        write_json(folder / "speed.json", heard.speed())
        with (folder / "predictions.jsonl").open("w", encoding="utf-8") as file:
            rows = [*predictions(plan, judged_sets), *in_silence(plan, heard, [kind for kind, _ in silence])]
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        names = [one.model for one in plan]
        write_report(folder, names, judged_sets, groups, metrics, compared, judgement, flacs, params.models)
        exports = {of.model: of.folder for of in plan if of.model.startswith(f"{of.engine}/")}
        write_cards(folder / "cards", metrics, params.models, exports)
        (folder / "audio").mkdir(exist_ok=True)  # where the page has its recordings inside, DVC still wants it

    print(told(metrics))
    if judgement:
        print(f"\n{verdicts(rows_of_gates)}", flush=True)
    missed = [f"  {verdict}" for verdict in judgement if not verdict.passed]
    if missed:
        raise UserError("\n".join([f"{len(missed)} of {len(judgement)} gates missed:", *missed]))


def require_profiles(chosen: str, own: Mapping[str, list[str]]) -> None:
    """Raises `UserError` for a name or a step that there is not, or a name that is taken, before anything is heard."""
    from asr.normaliser import PROFILES, Normaliser

    if taken := [name for name in own if name in PROFILES]:
        raise UserError(
            f"evaluation.profiles: {taken[0]} is one of ours, whose figures others compare; choose another name"
        )
    for name in {*own, *([chosen] if chosen else [])}:
        Normaliser.of(name, own)


def write_json(file: Path, value: object) -> None:
    file.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def normaliser_of(params: Evaluation, language: str) -> "Normaliser":
    """What texts in a language are compared as: `params.profile`, else the language's own."""
    from asr.normaliser import Normaliser, profile_of

    return Normaliser.of(params.profile or profile_of(language), params.profiles)


def figures(plan: list[Judged], judged_sets: "Mapping[str, JudgedSet]", heard: Heard) -> dict:
    """What `metrics.json` holds of models; a corpus has the sums of its utterances' counts."""
    from asr.forgetting import language_accuracy
    from asr.silence import silence_figures

    metrics = {judged.model: {} for judged in plan}
    for judged in plan:
        for name in judged.test_sets:
            key, found = (judged.model, name), {}
            starts, valid = heard.starts.get(key, []), heard.timestamps.get(key, [])
            if name == SILENCE:
                found |= silence_figures(heard.texts[key])
                found |= {NO_SPEECH: sum(start.no_speech for start in starts) / len(starts)} if starts else {}
            else:
                of = judged_sets[name]
                found |= of.figures(judged.model)
                found |= {LOST: sum(of.lost(judged.model))} if name in judged.long else {}
                spoken = [i for i, reference in enumerate(of.utterances.references) if reference.strip()]
                languages = [starts[i].language for i in spoken] if starts else []
                found |= {LANGUAGE: language_accuracy(languages, of.utterances.language)} if starts else {}
                found |= {TIMESTAMPS: sum(valid[i] for i in spoken) / len(spoken)} if valid else {}
            metrics[judged.model][name] = found
    return metrics


def write_plotted(file: Path, plan: list[Judged], metrics: Mapping) -> None:
    """The error rates as a table: a line for each model and test set."""
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(["model", "test_set", *PLOTTED, "profile"])
        for judged in plan:
            for name in judged.test_sets:
                if name != SILENCE:
                    of = metrics[judged.model][name]
                    rates = (f"{of[figure]:.6f}" if figure in of else "" for figure in PLOTTED)
                    writer.writerow([judged.model, name, *rates, of["profile"]])


def predictions(plan: list[Judged], judged_sets: "Mapping[str, JudgedSet]") -> Iterator[dict]:
    """The lines of `predictions.jsonl`."""
    for judged in plan:
        for name in filter(judged_sets.get, judged.test_sets):
            of = judged_sets[name]
            lost = of.lost(judged.model) if name in judged.long else None
            for i, scored in enumerate(of.scored[judged.model]):
                row = {"model": judged.model, "test_set": name, "id": of.utterances.ids[i]}
                row |= {"reference": of.utterances.references[i], "hypothesis": of.hypotheses[judged.model][i]}
                yield row | scored.figures() | ({LOST: lost[i]} if lost else {})


def in_silence(plan: list[Judged], heard: Heard, kinds: list[str]) -> Iterator[dict]:
    """What is written of each clip in which nobody speaks, as lines of `predictions.jsonl`."""
    for judged in plan:
        for i, text in enumerate(heard.texts.get((judged.model, SILENCE), ())):
            row = {"model": judged.model, "test_set": SILENCE, "id": f"{SILENCE}/{kinds[i]}/{i}"}
            yield row | {"reference": "", "hypothesis": text}


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
    if any(argument.startswith(SCORER_FLAGS) for argument in sys.argv[1:]):
        from asr.judged_files import main as judge_files

        run(lambda: judge_files(sys.argv[1:]))
    else:
        run_stage(Evaluation, main)
