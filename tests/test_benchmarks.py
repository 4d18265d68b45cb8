"""Benchmarks measure what they say and still run; no test looks at how fast anything is."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
import soundfile

REPOSITORY = Path(__file__).resolve().parents[1]
BENCHMARKS = REPOSITORY / "benchmarks"
NAMES = sorted(path.stem for path in BENCHMARKS.glob("*.py") if "__main__" in path.read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.syspath_prepend(REPOSITORY / "scripts")  # first: two benchmarks have the names of their stages


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """Two clips in Common Voice's layout, and their language."""
    folder = tmp_path_factory.mktemp("common_voice")
    (folder / "clips").mkdir()
    header, rows = "client_id\tpath\tsentence\tlocale\n", ""
    for number in range(2):
        noise = np.random.default_rng(number).uniform(-0.1, 0.1, 48_000)
        soundfile.write(folder / "clips" / f"{number}.wav", noise, 48_000)
        rows += f"S{number}\t{number}.wav\tGrün ist es.\tde\n"
    (folder / "validated.tsv").write_text(header + rows, encoding="utf-8")
    return [(folder, "de")]


def benchmark(name: str):
    """The module; `import_module` might give the stage of the same name."""
    spec = spec_from_file_location(f"benchmark_{name}", BENCHMARKS / f"{name}.py")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look
    spec.loader.exec_module(module)
    return module


def sleeper(megabytes: int) -> Iterator:
    """Jobs that hold so much for a while; what the process has held before is not theirs."""
    len(b"x" * 200_000_000)
    while True:
        yield 2.0, lambda: b"x" * (megabytes * 1_000_000)


def bounds() -> Iterator:
    while True:
        yield float(os.environ.get("MALLOC_MMAP_THRESHOLD_", 0)), lambda: None


@pytest.mark.parametrize("name", NAMES)
def test_it_starts_alone_and_says_how(name):
    done = subprocess.run([sys.executable, BENCHMARKS / f"{name}.py", "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"python benchmarks/{name}.py\n" in done.stdout


def test_each_side_takes_its_turns_and_only_its_own_memory_counts():
    from side_by_side import Side, megabytes, take_turns

    turns = take_turns({"little": Side(sleeper, 1), "much": Side(sleeper, 100)}, rounds=2)
    assert [[turn.work for turn in own] for own in turns.values()] == [[2.0, 2.0], [2.0, 2.0]]
    memory = megabytes(turns)
    assert memory["little"] < 20
    assert 95 < memory["much"] < 120


def test_a_side_has_its_own_bounds_and_leaves_ours(monkeypatch):
    from side_by_side import Side, take_turns

    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "7")
    sides = {"none": Side(bounds, bounds={}), "a training's": Side(bounds)}
    assert [own[0].work for own in take_turns(sides, rounds=1).values()] == [0.0, 2.0**32]
    assert os.environ["MALLOC_MMAP_THRESHOLD_"] == "7"


def test_a_ratio_is_the_median_of_the_rounds_own():
    from side_by_side import Turn, table

    ours = [Turn(1.0, 1.0, 0.0), Turn(1.0, 10.0, 0.0), Turn(1.0, 1.0, 0.0)]
    theirs = [Turn(1.0, 2.0, 0.0), Turn(1.0, 20.0, 0.0), Turn(1.0, 5.0, 0.0)]
    text = table({"theirs": theirs, "ours": ours}, "steps / s", "theirs", {"theirs": 200.0, "ours": 50.0})
    assert text.splitlines()[-1].split() == ["ours", "1.00", "2.00", "2.00", "5.00", "50", "0.25"]


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("windows", ("sample", 0.0, 0.0, 2, 2)),
        ("windows", ("sample", 1.0, 1.0, 1, 1)),
        ("loss", ("every position (Whisper's own)", "sample", 0.0, 0.0, 2)),
        ("loss", ("those with a label", "sample", 1.0, 0.5, 1)),
        ("allocator", ()),
        ("memory", (True, True, "sample")),
    ],
)
def test_a_job_can_be_done_again(name, arguments):
    jobs = benchmark(name).jobs(*arguments)
    for work, run in (next(jobs), next(jobs)):
        assert work > 0
        run()


@pytest.fixture(scope="module")
def prepared(corpora, tmp_path_factory):
    """What the stage makes of them."""
    recordings = benchmark("recordings")
    folder = tmp_path_factory.mktemp("stage") / "prepared"
    line = recordings.command(recordings.stage_values(recordings.sources_of(corpora), folder))
    subprocess.run(line, cwd=REPOSITORY, env=os.environ | {"WORKERS": "1"}, check=True)
    return folder


@pytest.mark.slow
def test_each_way_to_prepare_clips_converts_them_all_anew(corpora, prepared, tmp_path, monkeypatch):
    from asr.utterance import load_split

    for program in ("ffmpeg", "ffprobe"):  # that write or say what is asked, since not every machine has them
        file = tmp_path / "bin" / program
        file.parent.mkdir(exist_ok=True)
        file.write_text('#!/bin/sh\nfor last; do :; done\n[ "$0" = "${0%ffprobe}" ] && : > "$last" || echo 1.0\n')
        file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    module = benchmark("prepare_audio")
    for number, way in enumerate(module.WAYS):
        times = 10 if way == module.LONGER else 1
        jobs = module.jobs(way, corpora, 1, tmp_path / str(number))
        for _ in range(3):
            work, run = next(jobs)
            assert work == 2 * times
            run()
        last = tmp_path / str(number) / "2"
        assert not (tmp_path / str(number) / "0").exists()
        if way == module.REFERENCE:
            assert len(list(last.glob("*.wav"))) == len((last / "manifest.jsonl").read_text().splitlines()) == 2
        else:
            folder = last if way == module.STEADY else last / "prepared"
            assert load_split(folder, "train")["audio"][:] == times * load_split(prepared, "train")["audio"][:]


def test_what_an_hour_takes(corpora, prepared, tmp_path):
    (tmp_path / "a.wav").write_bytes(bytes(1_000_000))
    sizes = benchmark("prepare_audio").megabytes_an_hour(prepared, tmp_path)
    assert sizes["wav"] == pytest.approx(1800)  # of two seconds
    assert sizes["features 80"] == pytest.approx(2 * 102 * 80 * 2e-6 * 1800)
    assert sizes["padded 128"] == pytest.approx(2 * 3000 * 128 * 4e-6 * 1800)


def test_both_ways_to_log_mels_can_be_done_again(prepared, tmp_path):
    for ours in (False, True):
        jobs = benchmark("extract_features").jobs(ours, prepared, 80, tmp_path / str(ours))
        for work, run in (next(jobs), next(jobs)):
            assert work == pytest.approx(2.0)
            run()


@pytest.mark.parametrize("corpus", ["webdataset", "common_voice"])
def test_the_stage_keeps_every_clip_that_is_made_for_it(corpus, tmp_path):
    from recordings import command, stage_values

    sources = {"noise": benchmark("prepare_memory").make_corpus(tmp_path, 50, corpus)}
    line = command(stage_values(sources, tmp_path / "prepared"))
    subprocess.run(line, cwd=REPOSITORY, env=os.environ | {"WORKERS": "1"}, check=True)
    cell = json.loads((tmp_path / "prepared" / "stats.json").read_text())["noise"]["train"]
    assert (cell["in"], cell["kept"], cell["speakers"], cell["hours"]) == (50, 50, 2, round(50 / 3600, 4))


def test_the_memory_of_children_counts():
    hold = "import time; held = b'x' * 100_000_000; time.sleep(1)"
    both = f"import subprocess, sys; held = b'x' * 100_000_000; subprocess.run([sys.executable, '-c', {hold!r}])"
    peak = benchmark("prepare_memory").measure([sys.executable, "-c", both])
    assert 200 < peak.megabytes < 250
    assert 100 < peak.process_megabytes < 130
    assert peak.seconds_until < peak.seconds


def test_a_folder_that_is_not_there_is_one_line_that_names_the_flag(tmp_path):
    for name in ("prepare_audio", "extract_features"):
        line = [sys.executable, BENCHMARKS / f"{name}.py", "--clips", tmp_path / "nothing"]
        done = subprocess.run(line, capture_output=True, text=True)
        assert done.returncode == 1 and not done.stdout
        assert str(tmp_path / "nothing") in done.stderr and "--clips" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_without_ffmpeg_the_line_says_what_to_install(corpora):
    line = [sys.executable, BENCHMARKS / "prepare_audio.py", "--clips", corpora[0][0]]
    done = subprocess.run(line, capture_output=True, text=True, env=os.environ | {"PATH": ""})
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: ffmpeg and ffprobe not found, which the reference starts; install the package ffmpeg"
    ]


def written(path: Path, model_dir: Path) -> Path:
    """Outputs of a recipe whose train and test splits hold the same three clips of noise, in `general` and `noise`."""
    import io

    from datasets.arrow_writer import ArrowWriter

    from asr.features import frames_of, write_features
    from asr.utterance import Utterance, columns

    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        (path / "prepare_audio" / split).mkdir(parents=True)
        rows = []
        for number in range(3):
            source, text = ("noise", "") if number == 2 else ("general", "Grün ist es.")
            soundfile.write(file := io.BytesIO(), rng.uniform(-0.1, 0.1, 16_000), 16_000, format="FLAC")
            said = Utterance(f"{source}/{number}", file.getvalue(), text, "de", "", source, "", split, 1.0)
            rows.append(said.row())
        with ArrowWriter(path=str(path / "prepare_audio" / split / "00000.arrow"), features=columns()) as writer:
            for row in rows:
                writer.write(row)
            writer.finalize()
        if split == "train":
            noise = [rng.uniform(-6, 1, (frames_of(16_000), 80)).astype(np.float32) for _ in rows]
            write_features(path / "extract_features" / split, 80, sum(map(len, noise)), zip(rows, noise, strict=True))
    (path / "base_model").symlink_to(model_dir)
    return path


@pytest.fixture(scope="module")
def outputs(tmp_path_factory) -> Path:
    """A model of width 16 and what the stages before a training make."""
    sys.path[:0] = [str(REPOSITORY / "scripts")]
    from transformers import WhisperFeatureExtractor

    from asr.model import save_whisper
    from asr.new_model import new_whisper
    from asr.vocabulary import whisper_tokenizer

    folder = tmp_path_factory.mktemp("recipe")
    model = new_whisper(80, 16, 2, 1, 1, seed=0)
    save_whisper(folder / "model", model, whisper_tokenizer(80), WhisperFeatureExtractor(feature_size=80))
    return written(folder / "outputs", folder / "model")


@pytest.mark.slow
def test_both_ways_to_a_wer_end_when_it_is_reached_or_given_up(outputs, tmp_path, capsys):
    module = benchmark("time_to_wer")
    first = module.ours(outputs, target=0.0, every=1, steps=2, most=float("inf"))
    assert (first.steps, first.seconds > 0, first.wer > 0) == (2, True, True)
    module.map_train(outputs, tmp_path / "map.arrow")
    arguments = outputs, tmp_path / "map.arrow"
    reached = module.theirs(module.FROM_BASE, *arguments, target=99.0, every=1, steps=2, most=float("inf"))
    given_up = module.theirs(module.FROM_RANDOM, *arguments, target=0.0, every=5, steps=4, most=0.0)
    assert (reached.steps, given_up.steps) == (1, 1)
    assert module.line(first, first, 99.0).count("times") == 0
    assert " times" in module.line(reached, first, 99.0) and "more than" not in module.line(reached, first, 99.0)
    assert "more than" in module.line(given_up, first, 0.0)
    assert capsys.readouterr().out.count("WER") == 4  # one line an evaluation


def test_a_rate_that_is_measured_in_training_is_the_evaluations(outputs):
    """The clips that it decodes while it trains, and how, are those of the evaluation's own engine."""
    from held_out import HeldOut

    from asr.audio import decode
    from asr.labels import Labeler
    from asr.model import load_whisper
    from asr.scoring import score
    from asr.transformers_engine import Transformers
    from asr.utterance import load_split

    model, tokenizer, _ = load_whisper(outputs / "base_model", dtype="float32")
    rows = [row for row in load_split(outputs / "prepare_audio", "test") if row["source"] == "general"]
    engine = Transformers(outputs / "base_model", batch=16)
    said = dict(engine([decode(row["audio"]) for row in rows], "de"))
    expected = score([row["text"] for row in rows], [said[i] for i in range(len(rows))])["wer"]
    held_out = HeldOut(outputs / "prepare_audio", outputs / "base_model", "general", Labeler(tokenizer))
    assert held_out.wer(model) == expected
    assert model.training


def test_the_guides_way_is_taught_one_start_token_and_pads_to_30_seconds(outputs, tmp_path):
    from guides import GuidesCollator, map_features

    from asr.labels import IGNORED, Labeler
    from asr.model import load_without_weights
    from asr.utterance import load_split

    config, tokenizer, extractor = load_without_weights(outputs / "base_model")
    split = load_split(outputs / "prepare_audio", "train").select([0, 2])  # "Grün ist es." and nothing
    dataset = map_features(split, tokenizer, extractor, tmp_path / "map.arrow")
    batch = GuidesCollator(tokenizer, extractor, config.decoder_start_token_id)([dataset[0], dataset[1]])
    assert batch["input_features"].shape == (2, 80, 3000)
    labels = batch["labels"].tolist()
    assert labels[0][0] == Labeler(tokenizer).language("de")
    assert Labeler(tokenizer).decode(labels[0]) == "Grün ist es."
    assert IGNORED in labels[1] and labels[1][labels[1].index(IGNORED) - 1] == tokenizer.eos_token_id


@pytest.mark.parametrize("training", ["full", "lora"])
def test_operations_and_parameters_are_those_that_pytorch_counts(training):
    import torch
    from reckoning import ADAPTED, RANK, flops, parameters
    from synthetic import Setting
    from torch.utils.flop_counter import FlopCounterMode

    from asr.adapter import add_adapter
    from asr.new_model import new_whisper

    shape = Setting(32, 2, 3, 2, 1.0, 1.0, 1.0)
    model = new_whisper(80, 32, 2, 3, 2, seed=0).train()
    model.set_attn_implementation("eager")  # whose products are counted one by one
    if training == "lora":
        options = {"rank": RANK, "alpha": 1, "dropout": 0.0, "target_modules": ADAPTED, "token_rows": [], "seed": 0}
        model = add_adapter(model, "lora", **options)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == parameters(shape, training) - (
        0 if training == "lora" else 1500 * 32  # the encoder's positions are not trained
    )
    with FlopCounterMode(display=False) as counter:
        model(input_features=torch.zeros(1, 80, 3000), labels=torch.ones(1, 17, dtype=torch.int64)).loss.backward()
    assert counter.get_total_flops() == flops(shape, 3000, decoded=17, projected=17, training=training)


def test_a_layer_keeps_what_is_reckoned():
    import torch
    from reckoning import LAYER_BYTES

    from asr.new_model import new_whisper

    layer = new_whisper(80, 128, 2, 1, 1, seed=0).train().model.encoder.layers[0]
    kept = {}

    def keep(tensor):
        if 1500 in tensor.shape:  # not weights
            kept[tensor.untyped_storage().data_ptr()] = (tensor.untyped_storage().nbytes(), tensor)
        return tensor

    with torch.autocast("cpu", dtype=torch.bfloat16), torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        layer(torch.zeros(1, 1500, 128, requires_grad=True), None)
    assert sum(size for size, _ in kept.values()) / (1500 * 128) == pytest.approx(LAYER_BYTES, rel=0.05)


def test_the_largest_batch_is_the_last_that_fits():
    from reckoning import largest_batch, memory
    from synthetic import SETTINGS

    for training in ("full", "lora"):
        most = largest_batch(SETTINGS["turbo"], training, tokens=200, limit=16e9)
        sizes = [sum(memory(SETTINGS["turbo"], training, batch, 200).values()) for batch in (most, most + 1)]
        assert sizes[0] <= 16e9 < sizes[1]
        assert largest_batch(SETTINGS["turbo"], training, tokens=200, limit=1e9) == 0


@pytest.mark.parametrize("number, training", [(0, "full"), (1, "lora")])
def test_a_gpus_benchmark_runs_on_a_cpu(number, training, monkeypatch):
    import gpu_steps

    module = benchmark("gpu_training")
    monkeypatch.setattr(gpu_steps, "WARM_UP", 1)
    side = list(gpu_steps.SIDES)[number]
    found = gpu_steps.measure(gpu_steps.Plan(side, training, "cpu", "sample", batch=1, steps=1, loader_workers=0))
    assert min(found.seconds, found.speech, found.flops, found.waited, found.gigabytes) > 0
    assert found.waited < found.seconds
    assert found.speech < 30
    cells = module.table({side: found}, teraflops=1.0).splitlines()[1].split()
    assert cells[-4] == "1.00" and cells[-3] == f"{found.flops / found.seconds / 1e12:.1%}"


def test_a_card_is_known_by_its_name_or_its_peak_is_asked_for():
    module = benchmark("gpu_training")
    assert module.peak("NVIDIA H100 80GB HBM3", None) == 989.4
    assert module.peak("NVIDIA H100 PCIe", None) == 756.0
    assert module.peak("NVIDIA GeForce RTX 4090", None) == 165.2
    assert module.peak("NVIDIA A100-SXM4-80GB", 300.0) == 300.0
    with pytest.raises(SystemExit, match="--peak-tflops"):
        module.peak("NVIDIA T4", None)


def test_without_a_gpu_one_line_says_how_to_try_it():
    module = benchmark("gpu_training")
    parser = module.flags()
    with pytest.raises(SystemExit, match=r"^error: no GPU here; .*--device cpu"):
        module.main(parser.parse_args([]))
    with pytest.raises(SystemExit, match=r"^error: --limit-gb: .*--computed"):
        module.main(parser.parse_args(["--device", "cpu", "--limit-gb", "16"]))


def test_what_fits_is_said_to_be_computed(capsys):
    module = benchmark("gpu_training")
    module.main(module.flags().parse_args(["--computed"]))
    lines = [line for line in capsys.readouterr().out.splitlines() if "on one GPU" in line]
    assert len(lines) == 4 and all(line.endswith("(computed)") for line in lines)


@pytest.mark.slow
def test_each_way_to_train_real_clips_can_be_done_again(outputs, tmp_path, capsys):
    from guides import map_features

    from asr.model import load_without_weights
    from asr.utterance import load_split

    (tmp_path / "prepared").symlink_to(outputs / "prepare_audio")
    (tmp_path / "features").symlink_to(outputs / "extract_features")
    _, tokenizer, extractor = load_without_weights(outputs / "base_model")
    map_features(load_split(tmp_path / "prepared", "train"), tokenizer, extractor, tmp_path / "map.arrow")
    module = benchmark("training")
    for way, (full_share, _, times, steps) in module.SIDES.items():
        jobs = module.jobs(way, tmp_path, "sample", 1)
        for work, run in (next(jobs), next(jobs)):
            seconds = work / steps / times
            assert (
                seconds == pytest.approx(1.0) if full_share != 1.0 else seconds > 1.0
            )  # of a window; the clips have one each
            assert run().global_step == steps


def test_both_ways_to_evaluate_write_the_same_until_the_stage_stops(outputs, tmp_path, capsys):
    module = benchmark("evaluation")
    module.TEST_SETS = ("general",)
    for number, side in enumerate((module.guides, module.ours)):
        jobs = side(outputs, "base_model", tmp_path / str(number))
        for _ in range(2):
            work, run = next(jobs)
            assert work == pytest.approx(2.0)
            run()
        next(jobs)  # what was written is a file by now
    next(jobs := module.encoder(outputs, "base_model"))[1]()
    assert next(jobs)[0] == pytest.approx(2.0)
    theirs, ours = (json.loads((tmp_path / str(number)).read_text(encoding="utf-8")) for number in (0, 1))
    assert len(ours) == 2
    said = module.agreement(theirs, ours)
    assert "2 go on" in said and "others" not in said  # the model was never trained, so that it rambles


def test_transcripts_are_counted_as_the_same_longer_or_others():
    module = benchmark("evaluation")
    theirs = {"same": "Grün", "longer": "Grün ist es", "other": "Rot"}
    said = module.agreement(theirs, {"same": "Grün", "longer": "Grün i\ufffd", "other": "Grün"})
    assert said.startswith("1 of 3 transcripts are the same; 1 go on") and said.endswith("; 1 are others")


def test_the_ratio_of_all_models_is_that_of_their_sums():
    from side_by_side import Turn

    module = benchmark("evaluation")
    turns = [
        {module.REFERENCE: [Turn(1.0, seconds, 0.0)], module.OURS: [Turn(1.0, 2.0, 0.0)]} for seconds in (3.0, 9.0)
    ]
    assert module.together(turns) == "all 2 models, medians: 12.0 s and 4.0 s, ratio 3.00"


def test_both_ways_to_score_find_the_same_rates():
    module = benchmark("scoring")
    (work, ours), (_, plain) = next(module.judged(300)), next(module.plain(300, resamples=2_000))
    assert work == 300
    (mine, difference), (theirs, gained) = ours(), plain()
    for own, other in zip(mine, theirs, strict=True):
        assert 0.01 < own["wer"] < 0.1
        for name in ("wer", "cer", "wer_raw", "cer_raw"):
            assert own[name] == pytest.approx(other[name])
        for name in ("wer_low", "wer_high", "cer_low", "cer_high"):
            assert own[name] == pytest.approx(other[name], rel=0.05)  # drawn by other random numbers
    assert (difference.low, difference.high, difference.wins) == pytest.approx(gained, abs=0.05)


@pytest.mark.slow
def test_each_way_to_convert_is_measured(tmp_path, capsys):
    module = benchmark("conversion_memory")
    megabytes = module.make_model(tmp_path / "model", "float16", module.SHAPE | {"width": 64, "heads": 2})
    assert 5 < megabytes < 10
    names = []
    for name, line in list(module.commands(tmp_path / "model", tmp_path, None))[:-1]:
        peak = module.measure(line)  # ends with what was said, if it fails
        names.append(name)
        assert 0 < peak.process_megabytes <= peak.megabytes
        assert f"{peak.megabytes / megabytes:.2f} times" in module.line_of(name, peak, megabytes)
    assert len(names) == 4
    theirs = (tmp_path / "theirs" / "model.bin").read_bytes()
    assert theirs == (tmp_path / "convert_to_faster_int8" / "int8" / "model.bin").read_bytes()
    sizes = [(tmp_path / file).stat().st_size for file in ("h5.bin", "convert_to_ggml_f16/f16/ggml-model.bin")]
    assert 0.85 < sizes[0] / sizes[1] < 1  # ours has a vocabulary and filters as well
    proved = list(module.commands(tmp_path / "model", tmp_path, tmp_path))
    assert [name.split(", ", 1)[1] for name, _ in proved] == ["int8, proved", "f16, proved", "q5_1, proved"]


@pytest.mark.slow
def test_each_engine_decodes_the_same_clips_and_writes_as_many_tokens(outputs, tmp_path, monkeypatch):
    import synthetic

    from asr.ggml import write_ggml

    module = benchmark("engines")
    monkeypatch.setitem(synthetic.SETTINGS, "least", synthetic.Setting(32, 2, 1, 1, 1.5, 0.1, 4.0))
    module.SHAPE = "least"
    module.make_shape(tmp_path, module.SHAPE)
    (tmp_path / "prepare_audio").symlink_to(outputs / "prepare_audio")
    ggml = tmp_path / "convert_to_ggml" / "f16" / "ggml-model.bin"
    ggml.parent.mkdir(parents=True)
    write_ggml(tmp_path / "merge_lora", ggml, "f16")
    said = {}
    for way in module.WAYS:
        jobs = module.sample(tmp_path, way, tmp_path / "said.json")
        work, run = next(jobs)
        assert work == pytest.approx(2.0)
        run()
        next(jobs)
        said[way] = json.loads((tmp_path / "said.json").read_text(encoding="utf-8"))
        assert len(said[way]["texts"]) == 2
    same = [line for line in module.quality(said).splitlines() if line.endswith("2 of 2 transcripts the same")]
    assert same[0].startswith(module.REFERENCE) and any(line.startswith("CTranslate2 float32") for line in same)
    for way in module.SHAPES_WAYS:
        work, run = next(module.shape(tmp_path, way, clips=2))
        assert work > 2.0
        run()  # which says so if another number was written


def test_a_short_context_has_an_even_number_of_frames():
    module = benchmark("engines")
    clips = [np.zeros(samples, np.float32) for samples in (16_000, 15_999, 48_160)]
    (positions, features), *rest = module.batches(clips, np.zeros((201, 80), np.float32), short=True)
    assert positions == [2, 0, 1] and not rest
    assert features.shape == (3, 80, 304 + module.MARGIN)
    ((_, whole),) = module.batches(clips, np.zeros((201, 80), np.float32), short=False)
    assert whole.shape == (3, 80, 3000)
