"""How much memory the conversion of a model of whisper-small's shape takes: the stages, and the converters that they stand for.

Random weights, width 768 and 12 + 12 layers, as safetensors in float32 (967 MB) and in float16 (484 MB): "its own size" is that
of the file. Ours is the whole stage but for the proof: hash, conversion, and the export opened by its engine. Against
`ct2-transformers-converter` as its help has it, and whisper.cpp's `convert-h5-to-ggml.py`, which has transformers load the
whole model in float32 and writes float16 (q5_1 is made of that by a program that pip does not bring). What counts is the
sum over the processes of their proportional share (PSS), looked at every 50 ms. Aim: under 2.5 times the model's own size.

With --proof the stage also compares the export with its model, by a recording of the sample, so that both are open at once.

    python benchmarks/conversion_memory.py
    python benchmarks/conversion_memory.py --dtypes float32 --proof outputs/prepare_audio
"""

import argparse
import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from prepare_memory import Peak, measure
from recordings import REPOSITORY

SHAPE = {"width": 768, "heads": 12, "encoder_layers": 12, "decoder_layers": 12}
AIM = 2.5
LOOSE = {
    "encoder_cosine": -1,
    "log_probability": 1e9,
    "identical": 0,
    "error_difference": 1,
}  # random weights may differ


def make_model(folder: Path, dtype: str, shape: dict[str, int]) -> float:
    """Write a Whisper with random weights; its size in megabytes."""
    import torch
    from transformers import WhisperFeatureExtractor

    sys.path.insert(0, str(REPOSITORY / "scripts"))
    from asr.model import save_whisper
    from asr.new_model import new_whisper
    from asr.vocabulary import whisper_tokenizer

    model = new_whisper(mels=80, **shape, seed=0).to(getattr(torch, dtype))
    save_whisper(folder, model, whisper_tokenizer(80), WhisperFeatureExtractor(feature_size=80))
    return (folder / "model.safetensors").stat().st_size / 1e6


def commands(model: Path, out: Path, proof: Path | None) -> Iterator[tuple[str, list[str]]]:
    """What is measured, each into a folder of its own below `out`."""
    python = sys.executable
    if proof is None:
        files = "tokenizer.json", "preprocessor_config.json"
        given = ["--model", model, "--output_dir", out / "theirs", "--quantization", "int8", "--copy_files", *files]
        yield (
            "ct2-transformers-converter, int8",
            [python, "-m", "ctranslate2.converters.transformers", *map(str, given)],
        )
        yield "convert-h5-to-ggml.py's way, f16", [python, __file__, "--reference", str(model), str(out / "h5.bin")]
    # Quick: memory is as high with one recording of the sample as with 32, but for the words.
    parity = json.dumps(LOOSE | {"audio_dir": str(proof), "utterances": 1}) if proof else "null"
    for stage, flag, types in (
        ("convert_to_faster", "quantizations", ["int8"]),
        ("convert_to_ggml", "types", ["f16", "q5_1"]),
    ):
        for name in types:
            given = ["--model_dir", model, "--output_dir", out / f"{stage}_{name}", f"--{flag}", json.dumps([name])]
            line = [python, str(REPOSITORY / "scripts" / f"{stage}.py"), *map(str, given), "--parity", parity]
            yield f"{stage}, {name}{', proved' if proof else ''}", line


def line_of(name: str, peak: Peak, megabytes: float) -> str:
    """What a way took, and how many times the model that is."""
    return (
        f"  {name:33} {peak.megabytes:6.0f} MB in all processes, {peak.process_megabytes:5.0f} in the largest, "
        f"{peak.seconds:4.0f} s: {peak.megabytes / megabytes:5.2f} times"
    )


def load_and_write(model_dir: Path, file: Path) -> None:
    """The tensors as whisper.cpp's converter takes and writes them; of its header only what tells them apart."""
    import numpy as np
    import torch
    from transformers import WhisperForConditionalGeneration

    weights = WhisperForConditionalGeneration.from_pretrained(model_dir, dtype=torch.float32).state_dict()
    with file.open("wb") as out:
        for name, tensor in weights.items():
            if name == "proj_out.weight":
                continue
            array = tensor.squeeze().numpy().astype(np.float16)
            if array.ndim < 2 or name.endswith("embed_positions.weight"):
                array = array.astype(np.float32)
            title = name.encode()
            out.write(struct.pack("<3i", array.ndim, len(title), int(array.dtype == np.float16)))
            out.write(title)
            array.tofile(out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    dtypes = ["float32", "float16"]
    parser.add_argument("--dtypes", nargs="+", choices=dtypes, default=dtypes, help="of the model's weights")
    parser.add_argument(
        "--proof", type=Path, metavar="FOLDER", help="prepare_audio's folder: measure the proof as well"
    )
    parser.add_argument("--reference", type=Path, nargs=2, help=argparse.SUPPRESS)  # in a process that is measured
    given = parser.parse_args()
    if given.reference:
        load_and_write(*given.reference)
        sys.exit()
    imports = "import torch, ctranslate2, faster_whisper; from transformers import WhisperForConditionalGeneration"
    print(f"what the libraries take, of each figure: {measure([sys.executable, '-c', imports]).megabytes:.0f} MB")
    for dtype in given.dtypes:
        with TemporaryDirectory() as place:
            folder = Path(place)
            megabytes = make_model(folder / "model", dtype, SHAPE)
            print(f"{dtype} weights, {megabytes:.0f} MB; aim {AIM} times", flush=True)
            for proof in [None, given.proof.absolute()] if given.proof else [None]:
                for name, line in commands(folder / "model", folder / ("proved" if proof else "plain"), proof):
                    (folder / ("proved" if proof else "plain")).mkdir(exist_ok=True)
                    print(line_of(name, measure(line), megabytes), flush=True)
