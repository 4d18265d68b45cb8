"""Recordings that nobody has transcribed, transcribed by a model for another to learn from (distillation by pseudo-labels).

In: prepare_audio's folder, with rows of sources whose `empty_text` is `unlabelled`; an exported model, the teacher.
Out: `outputs/pseudo_label/`, in prepare_audio's form: all its rows, those that had no transcript with the teacher's and
`labelled_by`; `rejected.jsonl` and `stats.json` of those that are not to be trusted. `extract_features.audio_dir` takes it.

    python scripts/pseudo_label.py --teacher ~/models/large-v3-ct2

A run that is stopped goes on where it stopped.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from asr.command import run_stage
from asr.environment import workers
from asr.errors import UserError
from asr.params import PseudoLabel
from asr.paths import fingerprint, output_folder, require_folder
from asr.utterance import SPLITS, Rejected, Segment, Utterance, columns, load_split, require_labels

ROWS = 256  # heard at once: they are held as sound
HEARD = "heard"  # what the teachers have said; a run that is stopped leaves it for the next


def main(params: PseudoLabel) -> None:
    from asr.progress import progress
    from asr.shards import ShardWriter
    from asr.tally import Tally

    require_folder(params.audio_dir, "run the stage prepare_audio first")
    train = load_split(params.audio_dir, "train")
    others = {split: load_split(params.audio_dir, split) for split in SPLITS[1:] if (params.audio_dir / split).is_dir()}
    for split, rows in others.items():
        require_labels(rows, params.audio_dir / split)  # a model is not judged by what another has heard
    if all(train["labelled_by"]):
        raise UserError(
            f"{params.audio_dir}/train: every row has a transcript; set empty_text: unlabelled of a source in prepare_audio, "
            "or leave the stage out"
        )
    with output_folder(params.output_dir, unfinished=HEARD) as folder:
        tally = Tally(sorted({source for rows in (train, *others.values()) for source in rows["source"]}))
        rejected = (folder / "rejected.jsonl").open("w", encoding="utf-8")
        shard_bytes = params.shard_megabytes * 1_000_000
        with rejected, ShardWriter(folder / "train", columns(), shard_bytes) as shards:
            for item in progress(labelled(train, params, folder / HEARD), len(train), "pseudo_label", "clip"):
                tally.count(item)
                if isinstance(item, Rejected):
                    rejected.write(json.dumps(item.row(), ensure_ascii=False) + "\n")
                else:
                    shards.write(item.row())
        for split, rows in others.items():
            with ShardWriter(folder / split, columns(), shard_bytes) as shards:
                for row in rows:
                    tally.count(utterance_of(row))
                    shards.write(row)
        print(tally)
        tally.check({source: () for source in tally.table})
        (folder / "stats.json").write_text(
            json.dumps(tally.table, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )


def labelled(rows, params: PseudoLabel, heard_dir: Path) -> Iterator[Utterance | Rejected]:
    """Each row: as it is, with the teacher's transcript, or rejected."""
    from asr.checks import Checks
    from asr.cuts import reject
    from asr.pseudo_labels import problem_of
    from asr.text import rules_of

    rules = rules_of({language: rule.model_dump() for language, rule in params.text.items()})
    tokenizer_file = params.model_dir / "tokenizer.json"
    if not tokenizer_file.is_file():
        raise UserError(f"{tokenizer_file}: no such file; run the stage base_model first")
    limits = {"min_seconds": 0.0, "min_peak": 0.0, "max_tokens": params.max_tokens}
    longest = dict.fromkeys(set(rows["source"]), 30.0)
    checks = Checks(tokenizer_file=tokenizer_file, max_seconds=longest, text=rules, **limits)
    teachers = Teachers(params, heard_dir)
    for first in range(0, len(rows), ROWS):
        utterances = [utterance_of(row) for row in rows.select(range(first, min(first + ROWS, len(rows))))]
        waiting = [utterance for utterance in utterances if not utterance.labelled_by]
        heard = dict(zip((utterance.id for utterance in waiting), teachers.hear(waiting), strict=True))
        for utterance in utterances:
            if utterance.id not in heard:
                yield utterance
                continue
            text, second = heard[utterance.id]
            if problem := problem_of(text, second, utterance.language, params.max_disagreement):
                yield reject(utterance, *problem)
                continue
            # The same checks as a corpus's own transcripts; the sound has passed them and stays as it is.
            checked = checks.prepare(replace(utterance, text=text, labelled_by=teachers.name))
            yield checked if isinstance(checked, Rejected) else replace(checked, audio=utterance.audio)


class Teachers:
    """The teacher, and another way to hear the same: a second model, or the teacher's greedy decoding."""

    def __init__(self, params: PseudoLabel, heard_dir: Path):
        from asr.faster_engine import FasterWhisper
        from asr.lineage import sha256

        self._heard_dir = heard_dir
        folders = [params.teacher, *([params.second] if params.second else [])]
        for folder in folders:
            require_folder(folder, "give the folder of an exported model, such as outputs/convert_to_faster/int8")
        digests = [sha256(folder) for folder in folders]
        self.name = f"{params.teacher.name} sha256:{digests[0][:16]}"
        self._key = [*digests, params.beam_size]
        models = [FasterWhisper(folder, params.batch, params.beam_size, workers()) for folder in folders]
        self._ways = [models[0].beam, models[1].beam if params.second else models[0].greedy]

    def hear(self, utterances: list[Utterance]) -> list[tuple[str, str]]:
        """Both transcripts of each; what a run before has heard is not heard again."""
        from asr.duplicates import digest_of

        if not utterances:
            return []
        sounds = [(utterance.id, utterance.language, digest_of(utterance.audio).hex()) for utterance in utterances]
        file = self._heard_dir / f"{fingerprint(self._key, sounds)}.json"
        if not file.is_file():
            texts = [self._by(way, utterances) for way in self._ways]
            partial = file.with_suffix(".partial")
            partial.write_text(json.dumps(list(zip(*texts, strict=True)), ensure_ascii=False), encoding="utf-8")
            partial.rename(file)
        return [(text, second) for text, second in json.loads(file.read_text(encoding="utf-8"))]

    def _by(self, way, utterances: list[Utterance]) -> list[str]:
        from asr.audio import decode

        texts = [""] * len(utterances)
        for language in sorted({utterance.language for utterance in utterances}):
            places = [i for i, utterance in enumerate(utterances) if utterance.language == language]
            for position, text in way([decode(utterances[i].audio) for i in places], language):
                texts[places[position]] = text
        return texts


def utterance_of(row: dict) -> Utterance:
    """A row of a shard as an utterance."""
    return Utterance(**row | {"segments": tuple(Segment(**segment) for segment in row["segments"] or ())})


if __name__ == "__main__":
    run_stage(PseudoLabel, main)
