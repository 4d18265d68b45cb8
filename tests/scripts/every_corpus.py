"""One small corpus for each reader, of the same sentences, in its documented layout."""

import json
import tarfile
from pathlib import Path

import numpy as np
import soundfile

SENTENCES = ("Eins und zwei.", "Drei und vier.", "Fünf und sechs.")


def write_one_of_each(folder: Path) -> dict[str, dict]:
    """Every corpus that lies in files, with a second of noise for each of `SENTENCES`; the sources that read them."""
    numbered = list(enumerate(SENTENCES))

    def clips(corpus: str, below: str, suffix: str = "wav") -> list[Path]:
        (folder / corpus / below).mkdir(parents=True, exist_ok=True)
        paths = [folder / corpus / below / f"{number}.{suffix}" for number, _ in numbered]
        for number, path in enumerate(paths):
            samples = 0.1 * np.random.default_rng([number, len(corpus)]).uniform(-1, 1, 16_000)
            form = {"format": "OGG", "subtype": "OPUS"} if suffix == "opus" else {}
            soundfile.write(path, samples, 16_000, **form)
        return paths

    def lines(path: str, *rows: str) -> None:
        (folder / path).write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")

    clips("common_voice", "clips")
    lines("common_voice/validated.tsv", "client_id\tpath\tsentence", *(f"S\t{n}.wav\t{text}" for n, text in numbered))
    clips("golos", "train", "opus")
    lines(
        "golos/train/manifest.jsonl",
        *(json.dumps({"id": str(n), "audio_filepath": f"{n}.opus", "text": t, "duration": 1.0}) for n, t in numbered),
    )
    for number, path in enumerate(clips("aishell", "wav")):
        speaker = folder / "aishell/wav" / ("train", "dev", "test")[number] / f"S000{number}"
        speaker.mkdir(parents=True)
        path.rename(speaker / f"BAC009S000{number}W0121.wav")
    (folder / "aishell/transcript").mkdir()
    lines("aishell/transcript/aishell_transcript_v0.8.txt", *(f"BAC009S000{n}W0121 {text}" for n, text in numbered))
    (folder / "webdataset").mkdir()
    with tarfile.open(folder / "webdataset/000.tar", "w") as archive:
        for path, (number, text) in zip(clips("shard", "."), numbered, strict=True):
            path.with_suffix(".txt").write_text(text, encoding="utf-8")
            archive.add(path, f"a/{number}.wav")
            archive.add(path.with_suffix(".txt"), f"a/{number}.txt")
    clips("nemo", "audio", "flac")
    lines(
        "nemo/train.jsonl",
        *(json.dumps({"audio_filepath": f"audio/{n}.flac", "text": text, "duration": 1.0}) for n, text in numbered),
    )
    clips("whisper_finetune", "wav")
    lines(
        "whisper_finetune/train.jsonl",
        *(
            json.dumps({"audio": {"path": f"wav/{n}.wav"}, "sentence": text, "language": "German", "duration": 1.0})
            for n, text in numbered
        ),
    )
    clips("table", "wav")
    lines("table/train.csv", "path,sentence", *(f'wav/{n}.wav,"{text}"' for n, text in numbered))
    clips("ljspeech", "wavs")
    lines("ljspeech/metadata.csv", *(f"{n}|{text}|{text}" for n, text in numbered))
    clips("audiofolder", "train", "mp3")
    lines("audiofolder/train/metadata.csv", "file_name,transcription", *(f"{n}.mp3,{text}" for n, text in numbered))
    for path, text in zip(clips("subtitles", "train"), SENTENCES, strict=True):
        path.with_suffix(".srt").write_text(f"1\n00:00:00,000 --> 00:00:00,990\n{text}\n", encoding="utf-8")
    splits = {
        "common_voice": "speaker",
        "golos": "official",
        "webdataset": {"train": "."},
        "nemo": {"train": "train.jsonl"},
        "whisper_finetune": {"train": "train.jsonl"},
        "table": {"train": "train.csv"},
        "audiofolder": {"train": "train"},
        "subtitles": {"train": "train"},
        "ljspeech": "speaker",
    }
    sources = {name: {"corpus": name, "path": folder / name, "splits": split} for name, split in splits.items()}
    return sources | {"aishell": {"corpus": "aishell", "path": folder / "aishell"}}
