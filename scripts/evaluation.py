"""Every model and every export on every test set: WER, CER and counts, judged by the gates of `params.yaml`.

In: prepare_audio's test split, the models, convert_to_faster's folders.
Out: `outputs/evaluation/metrics.json`, `{model: {test_set: {"wer", "cer", "words", "substitutions", "deletions",
"insertions"}}}`, rates as fractions; `predictions.jsonl`, one line for each model and utterance. A missed gate fails
the stage, after both are written. The models in them:

    <name of evaluation.models>            transformers, greedy, without timestamps
    convert_to_faster/<q>                  the same decoding by CTranslate2: what the conversion costs
    faster_whisper/<q>                     faster-whisper's defaults
    faster_whisper_without_timestamps/<q>  its defaults but for the timestamps
    faster_whisper_batched/<q>             as RealtimeSTT calls it, on long recordings; with "lost_sentences"

    python scripts/evaluation.py
    python scripts/evaluation.py --beam_size 1 --output_dir /tmp/evaluation
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from asr.command import run_stage
from asr.environment import workers
from asr.errors import UserError
from asr.gates import Gate, expand, judge
from asr.params import Evaluation
from asr.paths import output_folder, require_folder

FIGURES = ("wer", "cer", "words", "substitutions", "deletions", "insertions")
LOST = "lost_sentences"  # of long recordings alone
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


@dataclass(frozen=True)
class Recordings:
    """The test utterances of one source."""

    ids: list[str]
    references: list[str]
    waveforms: list  # float32 [samples] each
    language: str


def main(params: Evaluation) -> None:
    plan = list(planned(params))
    gates = [Gate(**gate.model_dump()) for gate in params.gates]
    expand(gates, {judged.model: dict.fromkeys(judged.test_sets, judged.figures) for judged in plan})
    test_sets = read_test_sets(params)

    from asr.progress import progress
    from asr.report import table, verdicts

    texts = {(judged.model, name): [""] * len(test_sets[name].ids) for judged in plan for name in judged.test_sets}
    decoded, count = transcripts(plan, test_sets, params), sum(map(len, texts.values()))
    try:
        for model, name, position, text in progress(decoded, count, "evaluation", "transcript"):
            texts[model, name][position] = text
    except KeyboardInterrupt:
        raise UserError("interrupted: nothing is written; run the stage again") from None
    metrics, predictions = scores(plan, test_sets, texts)
    with output_folder(params.output_dir) as folder:
        (folder / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
        with (folder / "predictions.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in predictions)

    print(table(metrics))
    judgement = judge(gates, metrics)
    if judgement:
        print(f"\n{verdicts(judgement)}", flush=True)
    missed = [f"  {verdict}" for verdict in judgement if not verdict.passed]
    if missed:
        raise UserError("\n".join([f"{len(missed)} of {len(judgement)} gates missed:", *missed]))


def planned(params: Evaluation) -> Iterator[Judged]:
    """What is judged on what, in the order of `metrics.json`."""
    short, faster, long = (
        tuple(dict.fromkeys(names))
        for names in (params.test_sets, params.faster_whisper_test_sets, params.long_test_sets)
    )
    for model, folder in params.models.items():
        require_folder(folder, f"run the stage that makes it, or give another for evaluation.models.{model}")
        yield Judged(model, folder, TRANSFORMERS, short)
    remedy = "run the stage convert_to_faster first"
    exports = sorted(path for path in require_folder(params.exports_dir, remedy).iterdir() if path.is_dir())
    if not exports:
        raise UserError(f"{params.exports_dir}: no export in it; {remedy}")
    for name, decoding in DECODINGS.items():
        for export in exports:
            if decoding != "batched":
                yield Judged(f"{name}/{export.name}", export, decoding, short if decoding == "greedy" else faster)
            elif long:
                yield Judged(f"{name}/{export.name}", export, decoding, long, (*FIGURES, LOST))


def read_test_sets(params: Evaluation) -> dict[str, Recordings]:
    """The utterances of each test set, decoded.

    Raises:
        UserError: a test set is empty, in several languages, or has a clip of over 30 s that is not a long recording.
    """
    from asr.audio import decode
    from asr.utterance import load_split, require_labels
    from asr.whisper_shape import WINDOW_SAMPLES

    utterances = load_split(require_folder(params.audio_dir, "run the stage prepare_audio first"), "test")
    sources = utterances["source"][:]
    where = f"{params.audio_dir}/test"
    test_sets = {}
    short = list(dict.fromkeys([*params.test_sets, *params.faster_whisper_test_sets]))
    for name in dict.fromkeys([*short, *params.long_test_sets]):
        rows = utterances.select([i for i, source in enumerate(sources) if source == name])
        if not len(rows):
            raise UserError(f"{where}: no utterance of source {name!r}; there are {', '.join(sorted(set(sources)))}")
        require_labels(rows, where)
        if "translate" in rows["task"]:
            raise UserError(f"{where}: {name} holds translations, which are not judged; leave it out of the test sets")
        languages = sorted(set(rows["language"]))
        if len(languages) > 1:
            raise UserError(
                f"{where}: {name} is in several languages, {', '.join(languages)}; make it a source for each"
            )
        waveforms = [decode(audio) for audio in rows["audio"]]
        test_sets[name] = Recordings(rows["id"][:], rows["text"][:], waveforms, languages[0])
    for name in short:
        for utterance, waveform in zip(test_sets[name].ids, test_sets[name].waveforms, strict=True):
            if len(waveform) > WINDOW_SAMPLES:
                raise UserError(f"{where}: {utterance}: over 30 s; judge {name} among evaluation.long_test_sets")
    return test_sets


def transcripts(plan: list[Judged], test_sets: dict[str, Recordings], params: Evaluation) -> Iterator[Transcript]:
    """Every transcript; one folder is loaded at a time."""
    for folder, group in groupby(sorted(plan, key=lambda judged: judged.folder), lambda judged: judged.folder):
        yield from transcripts_of(folder, list(group), test_sets, params)


def transcripts_of(
    folder: Path, group: list[Judged], test_sets: dict[str, Recordings], params: Evaluation
) -> Iterator[Transcript]:
    """Every transcript of one folder, which is loaded once for all ways to decode it."""
    from asr.transcription import FasterWhisper, Transformers

    if group[0].decoding == TRANSFORMERS:
        engines = {TRANSFORMERS: Transformers(folder, params.batch)}
    else:
        opened = FasterWhisper(folder, params.batch, params.beam_size, workers())
        engines = {judged.decoding: getattr(opened, judged.decoding) for judged in group}
    for judged in group:
        for name in judged.test_sets:
            test_set = test_sets[name]
            for position, text in engines[judged.decoding](test_set.waveforms, test_set.language):
                yield judged.model, name, position, text


def scores(plan: list[Judged], test_sets: dict[str, Recordings], texts: dict) -> tuple[dict, list[dict]]:
    """What `metrics.json` and `predictions.jsonl` hold; a corpus has the sums of its utterances' counts."""
    from asr.scoring import lost_sentences, score_utterance, total

    metrics, predictions = {judged.model: {} for judged in plan}, []
    for judged in plan:
        for name in judged.test_sets:
            test_set, hypotheses = test_sets[name], texts[judged.model, name]
            pairs = list(zip(test_set.references, hypotheses, strict=True))
            scored = [score_utterance(*pair) for pair in pairs]
            metrics[judged.model][name] = total(scored).figures()
            lost = [lost_sentences(*pair) for pair in pairs] if LOST in judged.figures else []
            if lost:
                metrics[judged.model][name][LOST] = sum(lost)
            for i, (reference, hypothesis) in enumerate(pairs):
                row = {"model": judged.model, "test_set": name, "id": test_set.ids[i]}
                row |= {"reference": reference, "hypothesis": hypothesis, **scored[i].figures()}
                predictions.append(row | ({LOST: lost[i]} if lost else {}))
    return metrics, predictions


if __name__ == "__main__":
    run_stage(Evaluation, main)
