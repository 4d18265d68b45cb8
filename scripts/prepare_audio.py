"""Raw corpora to checked, deduplicated, split utterances of 16 kHz mono audio.

In: the corpora of `prepare_audio.sources`, and `tokenizer.json` of the base model.
Out: `<split>/00000.arrow`, … (rows of `asr.utterance`, FLAC), `rejected.jsonl` (one line a rejected row, with its
reason), `stats.json` (a source's and split's rows in = kept + rejected, hours, speakers).

    python scripts/prepare_audio.py
"""

import json
from contextlib import ExitStack

from asr.command import run_stage
from asr.environment import workers
from asr.errors import UserError
from asr.params import PrepareAudio
from asr.paths import output_folder
from asr.utterance import SPLITS, Rejected, columns


def main(params: PrepareAudio) -> None:
    from asr.checks import Checks, Seen
    from asr.corpora import SpeakerHash, read_corpus
    from asr.pool import in_order
    from asr.progress import progress
    from asr.shards import ShardWriter
    from asr.tally import Tally

    tokenizer_file = params.model_dir / "tokenizer.json"
    if not tokenizer_file.is_file():
        raise UserError(
            f"{tokenizer_file}: no such file; run the stage base_model first, or correct prepare_audio.model_dir"
        )
    no_split = {"seed": 0, "dev_share": 0, "test_share": 0}  # where no source asks for one
    speaker_hash = SpeakerHash(**(params.speaker_split.model_dump() if params.speaker_split else no_split))
    corpora = {
        name: read_corpus(source=name, speaker_hash=speaker_hash, **source.model_dump(exclude={"max_seconds"}))
        for name, source in params.sources.items()
    }
    checks = Checks(
        tokenizer_file=tokenizer_file,
        min_seconds=params.min_seconds,
        max_seconds={name: source.max_seconds for name, source in params.sources.items()},
        min_peak=params.min_peak,
        max_tokens=params.max_tokens,
    )
    rows = (item for corpus in corpora.values() for item in corpus.utterances)
    total = sum(corpus.rows for corpus in corpora.values())
    tally, seen = Tally(params.sources), Seen()
    with output_folder(params.output_dir) as folder, ExitStack() as stack:
        shard_bytes = params.shard_megabytes * 1_000_000
        shards = {split: stack.enter_context(ShardWriter(folder / split, columns(), shard_bytes)) for split in SPLITS}
        rejected = stack.enter_context((folder / "rejected.jsonl").open("w", encoding="utf-8"))
        for item in progress(in_order(checks.prepare, rows, workers()), total, "prepare", "clip"):
            item = seen.check(item)
            tally.count(item)
            if isinstance(item, Rejected):
                rejected.write(json.dumps(item.row(), ensure_ascii=False) + "\n")
            else:
                shards[item.split].write(item.row())
        tally.check(total, {name: corpus.promised for name, corpus in corpora.items()})
        (folder / "stats.json").write_text(
            json.dumps(tally.table, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    print(tally)


if __name__ == "__main__":
    run_stage(PrepareAudio, main)
