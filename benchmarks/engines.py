"""What engines make of the same clips on a CPU: CTranslate2 in int8 against transformers in float32, and short contexts against 30 s.

First the sample's merged model on its test clips, each way with its WER and how many of its transcripts are those of transformers
at 30 s: a fast wrong answer is none. Then whisper-tiny's shape with random weights on noise as long as German Common Voice's
clips, each way writing as many tokens as such a clip has, which is no test of what is written. Greedy, batches of 16 clips of
like length, the same features; a short context is 1 s longer than the longest clip of its batch. CTranslate2 takes one, though
faster-whisper never asks; whisper.cpp calls it `audio_ctx`; transformers needs `allow_short_context`; ONNX graphs have 30 s
built in. OpenAI's weights were never trained on short contexts. Needs what `make repro` makes.

    python benchmarks/engines.py
"""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from side_by_side import Job, Side, flags, table, take_turns

BATCH = 16
MARGIN = 100  # frames that a short context is longer than its longest clip; the sample's training adds 0 to 100
SHAPE, CLIPS = "tiny", 16  # of the second part
REFERENCE = "transformers float32, 30 s"

Write = Callable[[np.ndarray, int, bool], list[list[int]]]  # features [batch, mels, frames], tokens at most, or exactly


def transformers(model_dir: Path) -> Write:
    import torch

    from asr.model import load_whisper
    from asr.short_context import allow_short_context

    model, _, _ = load_whisper(model_dir, dtype=torch.float32)
    allow_short_context(model.eval())

    @torch.inference_mode()
    def write(features: np.ndarray, most: int, exactly: bool) -> list[list[int]]:
        options = {"language": "de", "task": "transcribe", "return_timestamps": False, "num_beams": 1}
        least = {"min_new_tokens": most} if exactly else {}
        return model.generate(torch.from_numpy(features), **options, max_new_tokens=most, **least).tolist()

    return write


def ctranslate2(export: Path) -> Write:
    from ctranslate2 import StorageView
    from ctranslate2.models import Whisper
    from tokenizers import Tokenizer

    from asr.environment import workers

    model = Whisper(str(export), device="cpu", intra_threads=workers())
    tokenizer = Tokenizer.from_file(str(export / "tokenizer.json"))
    names = ("startoftranscript", "de", "transcribe", "notimestamps")
    prompt, end = [tokenizer.token_to_id(f"<|{name}|>") for name in names], tokenizer.token_to_id("<|endoftext|>")

    def write(features: np.ndarray, most: int, exactly: bool) -> list[list[int]]:
        never = [-1, end] if exactly else [-1]
        options = {"beam_size": 1, "max_length": 2 * most, "suppress_tokens": never}  # CTranslate2 halves the length
        written = model.generate(StorageView.from_array(features), [prompt] * len(features), **options)
        return [one.sequences_ids[0] for one in written]

    return write


def batches(waveforms: list, filters: np.ndarray, short: bool) -> Iterator[tuple[list[int], np.ndarray]]:
    """Positions of clips of like length, and their features; the longest clip comes first."""
    from asr.decoding import clip_batches
    from asr.features import compose, log_mels
    from asr.whisper_shape import WINDOW_FRAMES

    for positions in clip_batches(waveforms, BATCH):
        mels = log_mels([waveforms[i] for i in positions], filters, "cpu")
        frames = context(max(map(len, mels))) if short else WINDOW_FRAMES
        yield positions, np.stack([compose([(mel, 0)], frames) for mel in mels])


def context(frames: int) -> int:
    """The frames of a short context for so many that are heard: even, since the encoder's second convolution halves them."""
    return min(frames + frames % 2 + MARGIN, 3000)  # a window's


def whisper_cpp(file: Path, waveforms: list, short: bool) -> Iterator[tuple[int, str]]:
    """Positions and texts by whisper.cpp's own loop, one clip after the other, without a second try."""
    import _pywhispercpp as cpp

    from asr.environment import workers
    from asr.features import frames_of
    from asr.libwhisper import library

    library()  # which is silent from then on
    opened = cpp.whisper_init_from_file_with_params(str(file), cpp.whisper_context_default_params())
    try:
        params = cpp.whisper_full_default_params(cpp.whisper_sampling_strategy.WHISPER_SAMPLING_GREEDY)
        params.language, params.n_threads, params.print_progress = "de", workers(), False
        params.no_timestamps, params.single_segment, params.temperature_inc = True, True, 0.0
        for position, waveform in enumerate(waveforms):
            params.audio_ctx = context(frames_of(len(waveform))) // 2 if short else 0
            if cpp.whisper_full(opened, params, waveform, len(waveform)):
                raise RuntimeError(f"{file}: whisper.cpp cannot transcribe a clip")
            segments = range(cpp.whisper_full_n_segments(opened))
            yield position, b"".join(cpp.whisper_full_get_segment_text(opened, i) for i in segments).decode().strip()
    finally:
        cpp.whisper_free(opened)


WAYS = {  # the engine, its folder below the sample's outputs, and whether contexts are short
    REFERENCE: (transformers, "merge_lora", False),
    "transformers float32, short": (transformers, "merge_lora", True),
    "CTranslate2 float32, 30 s": (ctranslate2, "convert_to_faster/float32", False),
    "CTranslate2 int8, 30 s": (ctranslate2, "convert_to_faster/int8", False),
    "CTranslate2 int8, short": (ctranslate2, "convert_to_faster/int8", True),
    "whisper.cpp f16, 30 s": (whisper_cpp, "convert_to_ggml/f16/ggml-model.bin", False),
    "whisper.cpp f16, short": (whisper_cpp, "convert_to_ggml/f16/ggml-model.bin", True),
}
SHAPES_WAYS = [name for name, (engine, *_) in WAYS.items() if engine is not whisper_cpp]  # it cannot be told how much


def sample(outputs: Path, way: str, said: Path) -> Iterator[Job]:
    """The sample's test clips; `said`: a file that is given the WER and the transcripts."""
    from asr.decoding import max_tokens, text_tokens
    from asr.features import mel_filters
    from asr.model import load_without_weights
    from asr.normaliser import Normaliser, profile_of
    from asr.scoring import score
    from asr.test_sets import read_test_sets

    engine, folder, short = WAYS[way]
    of = read_test_sets(outputs / "prepare_audio", ["general"], [])["general"]
    tokenizer = load_without_weights(outputs / "merge_lora")[1]
    if engine is whisper_cpp:
        decode = partial(whisper_cpp, outputs / folder, of.waveforms, short)
    else:
        write, filters = engine(outputs / folder), mel_filters(outputs / "merge_lora")

        def decode() -> Iterator[tuple[int, str]]:
            for positions, features in batches(of.waveforms, filters, short):
                limits = [max_tokens(len(of.waveforms[position])) for position in positions]
                written = write(features, limits[0], False)
                for position, tokens, limit in zip(positions, written, limits, strict=True):
                    yield position, tokenizer.decode(text_tokens(tokens, tokenizer.eos_token_id, limit)).strip()

    written: dict[int, str] = {}
    while True:
        yield sum(of.utterances.seconds), lambda: written.update(decode())
        texts = [written[i] for i in range(len(of.waveforms))]
        wer = score(of.utterances.references, texts, Normaliser.of(profile_of(of.language)))["wer"]
        said.write_text(json.dumps({"wer": wer, "texts": texts}), encoding="utf-8")


def shape(folder: Path, way: str, clips: int = CLIPS) -> Iterator[Job]:
    """Random weights in `folder` on noise; each way writes the same number of tokens."""
    from synthetic import SETTINGS

    from asr.features import mel_filters
    from asr.whisper_shape import SAMPLE_RATE

    engine, of, short = WAYS[way]
    setting, rng = SETTINGS[SHAPE], np.random.default_rng(0)
    lengths = rng.normal(setting.seconds, setting.spread, clips).clip(1.0, 30.0)
    noise = [rng.normal(0.0, 0.1, round(seconds * SAMPLE_RATE)).astype(np.float32) for seconds in lengths]
    write, filters = engine(folder / of), mel_filters(folder / "merge_lora")

    def decode() -> None:
        for positions, features in batches(noise, filters, short):
            tokens = round(lengths[positions[0]] * setting.tokens_a_second)  # of the longest, for which the others wait
            written = write(features, tokens, True)
            assert {len(one) for one in written} == {tokens}, (way, tokens, written)

    while True:
        yield float(lengths.sum()), decode


def make_shape(folder: Path, name: str = SHAPE) -> None:
    """A model with random weights, and what CTranslate2 makes of it, where the sample has them."""
    from ctranslate2.converters import TransformersConverter
    from synthetic import SETTINGS
    from transformers import WhisperFeatureExtractor

    from asr.model import save_whisper
    from asr.new_model import new_whisper
    from asr.vocabulary import whisper_tokenizer

    of = SETTINGS[name]
    model = new_whisper(of.mels, of.width, of.heads, of.encoder_layers, of.decoder_layers, seed=0)
    extractor = WhisperFeatureExtractor(feature_size=of.mels)
    save_whisper(folder / "merge_lora", model, whisper_tokenizer(of.mels), extractor)
    for quantization in ("float32", "int8"):
        files = ["tokenizer.json", "preprocessor_config.json"]
        converter = TransformersConverter(str(folder / "merge_lora"), copy_files=files)
        converter.convert(str(folder / "convert_to_faster" / quantization), quantization=quantization)


def quality(said: dict[str, dict]) -> str:
    """A line a way: its WER, and how many of its transcripts are the reference's."""
    reference = said[REFERENCE]["texts"]
    width = max(map(len, said))
    return "\n".join(
        f"{way.ljust(width)}  WER {of['wer']:.4f}, "
        f"{sum(mine == its for mine, its in zip(of['texts'], reference, strict=True))} of {len(reference)} transcripts the same"
        for way, of in said.items()
    )


if __name__ == "__main__":
    parser = flags(__doc__, rounds=3)
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="the sample's folder (default outputs)")
    given = parser.parse_args()
    with TemporaryDirectory() as place:
        files = {way: Path(place) / f"{number}.json" for number, way in enumerate(WAYS)}
        turns = take_turns({way: Side(sample, given.outputs, way, files[way]) for way in WAYS}, given.rounds)
        print(f"the sample's model and test clips\n{table(turns, 'speech-seconds / s', REFERENCE)}\n")
        print(
            f"{quality({way: json.loads(file.read_text(encoding='utf-8')) for way, file in files.items()})}\n",
            flush=True,
        )
        make_shape(Path(place))
        turns = take_turns({way: Side(shape, Path(place), way) for way in SHAPES_WAYS}, given.rounds)
        print(f"whisper-{SHAPE}'s shape, {CLIPS} clips of noise\n{table(turns, 'speech-seconds / s', REFERENCE)}")
