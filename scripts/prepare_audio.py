"""Raw corpora to checked, deduplicated, split utterances of 16 kHz mono audio.

In: the corpora of `prepare_audio.sources`, and `tokenizer.json` of the base model.
Out: `<split>/00000.arrow`, … (rows of `asr.utterance`, FLAC), `rejected.jsonl` (one line a rejected row, with its
reason), `stats.json` (a source's and split's rows in = kept + rejected, hours, speakers), `leaks.json` (what train and
test share), `card/` (the data in tables, histograms and sound).

    python scripts/prepare_audio.py
    python scripts/prepare_audio.py --dataset golos --input ./golos_raw --output ./golos_prepared

A run that is stopped goes on where it stopped, and ends as if it had not been.
"""

import argparse
import json
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from asr.command import run_stage
from asr.environment import workers
from asr.errors import UserError
from asr.params import PrepareAudio
from asr.paths import output_folder
from asr.utterance import SPLITS, Rejected, columns
from asr.whisper_shape import WINDOW_SECONDS

# The corpora that one folder tells all of, and the language they are in unless --language says another.
GUIDE_LANGUAGES = {"golos": "ru", "common_voice": "ru", "ljspeech": "en", "aishell": "zh"}

PARTS = "parts"  # what slices of the corpora have become; a run that is stopped leaves it for the next


def main(params: PrepareAudio) -> None:
    from asr.progress import progress
    from asr.slices import prepare_slice, slices_of

    with output_folder(params.output_dir, unfinished=PARTS) as folder:
        for left in (folder / PARTS).glob(".*"):  # of writes that were cut off
            left.unlink()
        checks = checks_of(params, folder / PARTS)
        corpora = open_corpora(params)
        slices = (
            slice
            for name, corpus in corpora.items()
            for slice in slices_of(corpus.utterances, params.sources[name].max_seconds)
        )
        work = partial(prepare_slice, checks=checks, folder=(folder / PARTS).absolute())
        total = sum(corpus.rows for corpus in corpora.values())
        done = executor(params.executor)(work, slices, workers())
        parts = list(progress(done, total, "prepare", "clip", size=lambda part: part.rows))
        promised = {name: corpus.promised for name, corpus in corpora.items()}
        join(
            progress(parts, sum(part.rows for part in parts), "join", "clip", lambda part: part.rows),
            params,
            promised,
            folder,
        )
        if params.nemo != "none":
            write_manifests(folder, params.nemo == "tarred")


def checks_of(params: PrepareAudio, folder: Path):
    """What every row must satisfy. `folder` takes Whisper's own vocabulary where no model is named."""
    from asr.checks import Checks
    from asr.text import rules_of

    if params.model_dir is None:
        from asr.vocabulary import whisper_tokenizer

        whisper_tokenizer(80).save_pretrained(folder / "tokenizer")
    tokenizer_file = ((params.model_dir or folder / "tokenizer") / "tokenizer.json").absolute()
    if not tokenizer_file.is_file():
        raise UserError(
            f"{params.model_dir}/tokenizer.json: no such file; run the stage base_model first, or correct "
            "prepare_audio.model_dir"
        )
    rules = rules_of({language: rule.model_dump() for language, rule in params.text.items()})
    return Checks(
        tokenizer_file=tokenizer_file,
        min_seconds=params.min_seconds,
        max_seconds={name: source.max_seconds for name, source in params.sources.items()},
        min_peak=params.min_peak,
        max_tokens=params.max_tokens,
        no_speech=frozenset(name for name, source in params.sources.items() if source.empty_text == "no_speech"),
        unlabelled=frozenset(name for name, source in params.sources.items() if source.empty_text == "unlabelled"),
        text=rules,
    )


def open_corpora(params: PrepareAudio) -> dict:
    """The corpora by the name of their source, in the order of the parameters."""
    from asr.corpora import SpeakerHash, read_corpus

    no_split = {"seed": 0, "dev_share": 0, "test_share": 0}  # where no source asks for one
    speaker_hash = SpeakerHash(**(params.speaker_split.model_dump() if params.speaker_split else no_split))
    corpora = {}
    for name, source in params.sources.items():
        fields = source.model_dump(exclude={"max_seconds", "empty_text", "licence"})
        if "path" in fields:
            fields["path"] = source.path.absolute()  # a worker on another machine has another working folder
        fields["speakers"] = source.speakers or (source.corpus if source.speakers_are_global else name)
        window = min(source.max_seconds, WINDOW_SECONDS)
        longest = {"train": window, "dev": window, "test": source.max_seconds}
        corpora[name] = read_corpus(source=name, speaker_hash=speaker_hash, longest=longest, **fields)
    return corpora


def executor(name: str):
    """The function that maps over slices, a task each, in order."""
    if name == "ray":
        from asr.cluster import in_order_on_ray

        return in_order_on_ray
    from asr.pool import in_order

    return partial(in_order, task_items=1)


def join(parts: Iterator, params: PrepareAudio, promised: dict, folder: Path) -> None:
    """The parts in order to shards, and all that only shows when the rows are together."""
    from asr.card import Card
    from asr.duplicates import Seen
    from asr.leaks import Leaks
    from asr.shards import ShardWriter
    from asr.slices import read_part
    from asr.tally import Tally

    tally, seen, leaks = Tally(params.sources), Seen(), Leaks()
    card = Card({name: source.licence for name, source in params.sources.items()})
    with ExitStack() as stack:
        shard_bytes = params.shard_megabytes * 1_000_000
        shards = {split: stack.enter_context(ShardWriter(folder / split, columns(), shard_bytes)) for split in SPLITS}
        rejected = stack.enter_context((folder / "rejected.jsonl").open("w", encoding="utf-8"))
        for item in (seen.check(item) for part in parts for item in read_part(part)):
            tally.count(item)
            if isinstance(item, Rejected):
                rejected.write(json.dumps(item.row(), ensure_ascii=False) + "\n")
                card.rejected(item.row() | {"audio": item.audio})
            else:
                row = item.row()
                shards[item.split].write(row)
                leaks.count(item)
                card.kept(row)
    print(tally)
    print(leaks)
    tally.check(promised)
    leaks.check(params.leaks)
    _write_json(folder / "stats.json", tally.table)
    _write_json(folder / "leaks.json", leaks.table)
    (folder / "card").mkdir()
    card.write(folder / "card", tally.table)


def write_manifests(folder: Path, tarred: bool) -> None:
    """NeMo's form of every split that has rows."""
    from asr.nemo_manifests import write_nemo_manifest

    for split in SPLITS:
        if (folder / split).is_dir():
            write_nemo_manifest(folder, split, folder if not tarred else folder / "nemo", tarred)


def guide_flags(arguments: list[str]) -> list[str]:
    """`--dataset golos --input FOLDER --output FOLDER [--language ru]`, as flags of this stage.

    That is how the guides call their scripts: one corpus, a twentieth of it held out, NeMo's manifests written.
    """
    if not any(argument.split("=")[0] == "--dataset" for argument in arguments):
        return arguments
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--dataset", required=True, choices=sorted(GUIDE_LANGUAGES))
    parser.add_argument("--input", required=True, type=Path)
    parser.add_argument("--output", required=True)
    parser.add_argument("--language", default="")
    given, others = parser.parse_known_args(arguments)
    language = given.language or GUIDE_LANGUAGES[given.dataset]
    source = {"corpus": given.dataset, "path": str(given.input), "language": language, "domain": given.dataset}
    if given.dataset != "aishell":
        source["splits"] = "speaker"
    speaker_split = {"seed": 0, "dev_share": 0.05, "test_share": 0.0, "unknown": "by_clip"}
    return [
        f"--sources={json.dumps({given.dataset: source})}",
        f"--speaker_split={json.dumps(speaker_split)}",
        f"--output_dir={given.output}",
        "--model_dir=null",
        "--nemo=files",
        *others,
    ]


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_stage(PrepareAudio, main, guide_flags)
