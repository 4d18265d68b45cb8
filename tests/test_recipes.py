"""What DVC makes of the recipes: each plans on a fresh clone, and a changed value re-runs what it must and no more."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

SAMPLE = [
    "sample_speech",
    "base_model",
    "prepare_audio",
    "extract_features",
    "train_german_model",
    "finetune_whisper",
    "merge_lora",
    "convert_to_faster",
    "convert_to_ggml",
    "convert_to_onnx",
    "evaluation",
]
ALONE = ("sample_speech", "convert_to_ggml", "convert_to_onnx")  # stages that the other recipes do not have
ADAPTED = [stage for stage in SAMPLE if stage not in (*ALONE, "train_german_model")]
REAL = [stage for stage in SAMPLE if stage not in (*ALONE, "finetune_whisper", "merge_lora")]


def dvc(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["dvc", *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def planned(folder: Path) -> list[str]:
    """The stages that would run, were the output of each stage that runs another one than before."""
    return re.findall(r"Running stage '(\w+)'", dvc(folder, "repro", "--dry", "--force-downstream"))


@pytest.mark.parametrize(
    ("recipe", "stages"),
    [(".", SAMPLE), ("recipes/chinese", ADAPTED)]
    + [(f"recipes/{name}", REAL) for name in ("common_voice_de", "german", "korean_dyslexic", "russian")]
    + [("recipes/distilled_de", [*REAL, "pseudo_label"])],
)
def test_a_fresh_clone_plans_every_stage_once(repository, recipe, stages):
    assert sorted(planned(repository / recipe)) == sorted(stages)


def test_the_corpus_folder_counts_its_readme_does_not(repository):
    folder = repository / "recipes/common_voice_de"
    (folder / "data/common_voice_de/de").mkdir(parents=True)
    (folder / "data/common_voice_de/de/train.tsv").touch()
    (folder / "data/README.md").write_text("how to get it")
    (folder / "dvc.yaml").write_text("stages: {prepare_audio: {cmd: 'true', deps: [data]}}")
    dvc(folder, "repro")
    (folder / "data/README.md").write_text("how to get it, better told")
    assert planned(folder) == []
    (folder / "data/common_voice_de/de/train.tsv").write_text("more")
    assert planned(folder) == ["prepare_audio"]


@pytest.fixture(scope="module")
def committed(make_clone, tmp_path_factory) -> Path:
    """A clone in which DVC takes every stage for done."""
    repository = make_clone(tmp_path_factory.mktemp("committed"))
    stages = YAML(typ="safe").load(repository / "dvc.yaml")["stages"]
    wanted = {Path(dep) for stage in stages.values() for dep in stage["deps"] if dep.startswith("outputs/")}
    for name, stage in stages.items():
        metrics = [path for kind in ("metrics", "plots") for made in stage.get(kind, ()) for path in made]
        for out in map(Path, [*stage["outs"], *metrics]):
            parts = [path if path.suffix else path / "made" for path in wanted if out in path.parents]
            files = [out] if out.suffix else [out / "made", *parts]
            for file in files:
                (repository / file).parent.mkdir(parents=True, exist_ok=True)
                (repository / file).write_text(name)
    dvc(repository, "commit", "--force", "dvc.yaml")
    return repository


@pytest.fixture
def reproduced(committed, tmp_path) -> Path:
    """A copy of that clone, to change something in."""
    return shutil.copytree(committed, tmp_path / "clone")


def test_a_changed_value_reruns_its_stage_and_what_follows_from_it(reproduced):
    def double(stage: str, parameter: str) -> list[str]:
        """The plan with twice the number, or the list twice over: another value, whatever it is."""
        file = reproduced / "params.yaml"
        before = file.read_text()
        yaml = YAML(typ="safe")
        values = yaml.load(before)
        values[stage][parameter] *= 2
        yaml.dump(values, file)
        changed = planned(reproduced)
        file.write_text(before)
        return changed

    assert double("convert_to_faster", "quantizations") == ["convert_to_faster", "evaluation"]
    assert sorted(double("finetune_whisper", "learning_rate")) == sorted(SAMPLE[5:])
    assert sorted(double("train_german_model", "learning_rate")) == sorted(SAMPLE[4:])
    assert planned(reproduced) == []


def test_a_changed_module_reruns_the_stages_that_reach_it(reproduced):
    with (reproduced / "scripts/asr/adapter.py").open("a") as file:
        file.write("\n# changed\n")
    assert sorted(planned(reproduced)) == sorted(SAMPLE[5:])


def test_compiled_modules_are_no_change(reproduced):
    cache = reproduced / "scripts/asr/corpora/__pycache__"
    cache.mkdir()
    (cache / "common_voice.cpython-311.pyc").write_bytes(b"x")
    assert planned(reproduced) == []
