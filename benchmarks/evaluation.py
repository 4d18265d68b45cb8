"""Evaluation of the sample's test set: seconds of speech a second, the Chinese guide's loop against the stage's own.

From the same FLAC bytes to figures, by the same model on the same device and threads: decoding audio, features, transcripts
and scoring; opening the model is not counted. The guide (yeyupiaoling/Whisper-Finetune, `evaluation.py`) makes each clip's
features alone, padded to 30 s, in a loader's processes, takes batches of 16 in the file's order, and lets a model that finds no
end write 255 tokens, for which the whole batch waits. Both feed the encoder 30 s, since the transcripts shall be the same: how
many are is printed. So neither can be faster than the encoder alone, which is shown beside them. Needs what `make repro` makes.

    python benchmarks/evaluation.py
    python benchmarks/evaluation.py --models merge_lora
"""

import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from side_by_side import Job, Side, Turn, flags, table, take_turns

BATCH = 16  # the guide's default, and the stage's
GUIDES_TOKENS = 255
TEST_SETS = ("general", "domain")
REFERENCE, OURS, BOUND = "the Chinese guide's loop", "the stage's", "the encoder alone"


def guides(outputs: Path, model: str, said: Path) -> Iterator[Job]:
    """The guide's loop, its Chinese metric left out; `said`: a file that is given what was written, by utterance."""
    import io

    import jiwer
    import soundfile
    import torch
    from torch.utils.data import DataLoader
    from transformers import WhisperForConditionalGeneration, WhisperProcessor
    from transformers.utils import logging

    from asr.environment import workers
    from asr.utterance import load_split

    logging.set_verbosity_error()  # it warns once a batch
    logging.disable_progress_bar()
    folder, device = outputs / model, "cuda" if torch.cuda.is_available() else "cpu"
    whisper = WhisperForConditionalGeneration.from_pretrained(folder, dtype="auto").to(device).eval()
    processor = WhisperProcessor.from_pretrained(folder, language="de", task="transcribe")
    tokenizer, extractor = processor.tokenizer, processor.feature_extractor
    split = load_split(outputs / "prepare_audio", "test")
    split = split.select([i for i, source in enumerate(split["source"]) if source in TEST_SETS])

    class Clips(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(split)

        def __getitem__(self, index: int) -> dict:
            row = split[index]
            waveform, rate = soundfile.read(io.BytesIO(row["audio"]), dtype="float32")
            features = extractor(waveform, sampling_rate=rate).input_features[0]
            return {"input_features": features, "labels": tokenizer(row["text"]).input_ids}

    def collate(rows: list[dict]) -> tuple[torch.Tensor, torch.Tensor]:
        features = extractor.pad([{"input_features": row["input_features"]} for row in rows], return_tensors="pt")
        labels = tokenizer.pad([{"input_ids": row["labels"]} for row in rows], return_tensors="pt")
        return features["input_features"], labels["input_ids"]

    @torch.no_grad()
    def evaluate() -> None:
        written.clear()
        texts: list[str] = []
        loader = {"num_workers": workers(), "multiprocessing_context": "fork", "collate_fn": collate}
        for features, labels in DataLoader(Clips(), BATCH, **loader):
            tokens = whisper.generate(
                input_features=features.to(device, whisper.dtype),
                language="de",  # the guide's `forced_decoder_ids`, which transformers 5 no longer takes
                task="transcribe",
                max_new_tokens=GUIDES_TOKENS,
            )
            written.extend(tokenizer.batch_decode(tokens.cpu(), skip_special_tokens=True))
            texts += tokenizer.batch_decode(labels, skip_special_tokens=True)
        jiwer.wer(*([_without_punctuation(text) or "-" for text in side] for side in (texts, written)))

    written: list[str] = []
    yield from _turns(evaluate, split["id"][:], written, split["seconds"][:], said)


def ours(outputs: Path, model: str, said: Path) -> Iterator[Job]:
    """What `scripts/evaluation.py` does for a model in transformers."""
    from asr.judging import JudgedSet
    from asr.normaliser import Normaliser, profile_of
    from asr.test_sets import read_test_sets
    from asr.transformers_engine import Transformers

    engine = Transformers(outputs / model, BATCH)
    sets = read_test_sets(outputs / "prepare_audio", TEST_SETS, []).values()
    ids = [id for of in sets for id in of.utterances.ids]
    seconds = [length for of in sets for length in of.utterances.seconds]

    def evaluate() -> None:
        written.clear()
        for of in read_test_sets(outputs / "prepare_audio", TEST_SETS, []).values():
            texts = dict(engine(of.waveforms, of.language))
            written.extend(texts[i] for i in range(len(texts)))
            normaliser = Normaliser.of(profile_of(of.language))
            JudgedSet(of.utterances, {model: written[-len(texts) :]}, normaliser).figures(model)

    written: list[str] = []
    yield from _turns(evaluate, ids, written, seconds, said)


def encoder(outputs: Path, model: str) -> Iterator[Job]:
    """The model's encoder on the same windows, of which nothing is written."""
    import torch

    from asr.decoding import clip_batches, encoder_windows
    from asr.features import mel_filters
    from asr.model import load_whisper
    from asr.test_sets import read_test_sets

    device = "cuda" if torch.cuda.is_available() else "cpu"
    whisper = load_whisper(outputs / model, dtype=torch.float32)[0].to(device).eval()
    sets = read_test_sets(outputs / "prepare_audio", TEST_SETS, []).values()
    waveforms = [waveform for of in sets for waveform in of.waveforms]
    seconds = sum(length for of in sets for length in of.utterances.seconds)
    filters = mel_filters(outputs / model)
    batches = [
        torch.from_numpy(encoder_windows([waveforms[i] for i in batch], filters, device))
        for batch in clip_batches(waveforms, BATCH)
    ]

    @torch.inference_mode()
    def encode() -> None:
        for batch in batches:
            whisper.model.encoder(batch.to(device))

    while True:
        yield seconds, encode


def agreement(theirs: dict[str, str], mine: dict[str, str]) -> str:
    """How many transcripts are the same, and how many of the others the guide goes on with where the stage stops."""
    assert theirs.keys() == mine.keys()
    same = sum(theirs[id] == mine[id] for id in mine)
    longer = sum(theirs[id] != mine[id] and theirs[id].startswith(mine[id].rstrip("\ufffd")) for id in mine)
    rest = len(mine) - same - longer
    text = f"{same} of {len(mine)} transcripts are the same"
    if longer:
        text += (
            f"; {longer} go on in the guide's loop, up to {GUIDES_TOKENS} tokens, where the stage stops at max_tokens()"
        )
    return text + (f"; {rest} are others" if rest else "")


def together(of_models: Sequence[dict[str, list[Turn]]]) -> str:
    """The ratio of all models' evaluations, one after the other, as the stage runs them."""
    sums = {
        side: sum(statistics.median(turn.seconds for turn in turns[side]) for turns in of_models)
        for side in (REFERENCE, OURS)
    }
    return f"all {len(of_models)} models, medians: {sums[REFERENCE]:.1f} s and {sums[OURS]:.1f} s, ratio {sums[REFERENCE] / sums[OURS]:.2f}"


def _turns(
    evaluate: Callable[[], None], ids: list[str], written: list[str], seconds: list[float], said: Path
) -> Iterator[Job]:
    while True:
        yield sum(seconds), evaluate
        texts = (text.strip() for text in written)
        said.write_text(json.dumps(dict(zip(ids, texts, strict=True))), encoding="utf-8")


def _without_punctuation(text: str) -> str:
    return text.translate(str.maketrans("", "", "!,.;:?"))


if __name__ == "__main__":
    parser = flags(__doc__, rounds=2)
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="the sample's folder (default outputs)")
    models = ["base_model", "train_german_model", "merge_lora"]
    parser.add_argument("--models", nargs="+", default=models, help="folders in it (default those of params.yaml)")
    given = parser.parse_args()
    every = []
    for model in given.models:
        with TemporaryDirectory() as place:
            files = Path(place) / "theirs", Path(place) / "ours"
            sides = {
                REFERENCE: Side(guides, given.outputs, model, files[0]),
                OURS: Side(ours, given.outputs, model, files[1]),
                BOUND: Side(encoder, given.outputs, model),
            }
            every.append(take_turns(sides, given.rounds))
            theirs, mine = (json.loads(file.read_text(encoding="utf-8")) for file in files)
        print(f"{model}: {agreement(theirs, mine)}")
        print(f"{table(every[-1], 'speech-seconds / s', REFERENCE)}\n", flush=True)
    if len(every) > 1:
        print(together(every))
