"""The law of names, and dependencies that DVC cannot see by itself."""

import ast
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from asr.params_file import Params, read_params

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPTS = REPOSITORY / "scripts"
RECIPES = [REPOSITORY, *sorted(path.parent for path in REPOSITORY.glob("recipes/*/dvc.yaml"))]
# What looks and makes nothing is no stage, and reads the sections of those that it is about; its target is called alike.
COMMANDS = {"lint_labels", "probe", "push_to_hub", "transcribe"}
STAGES = sorted({path.stem for path in SCRIPTS.glob("*.py")} - COMMANDS)

# How a stage starts, where it reads and writes, what it shows meanwhile, and what ends it. Nothing of it reaches an output, and
# the values of params.yaml are dependencies themselves: a new field for one stage must not train every model again.
NOT_A_DEPENDENCY = {"command", "environment", "errors", "params", "params_file", "paths", "progress", "guide_flags"}
NOT_A_DEPENDENCY |= {"label_laws", "lint", "watchdog", "interruption", "processes"}
VALIDATION = {"params", "params_file"}  # what these reach, they look names up in


@pytest.fixture(params=RECIPES, ids=lambda folder: "sample" if folder == REPOSITORY else folder.name)
def recipe(request):
    """A recipe's folder and the stages of its dvc.yaml."""
    return request.param, YAML(typ="safe").load(request.param / "dvc.yaml")["stages"]


def class_name(stage: str) -> str:
    return "".join(word.capitalize() for word in stage.split("_"))


def imports_of(file: Path) -> set[str]:
    """The modules of `asr` that a file imports anywhere in it, functions included."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: write `from asr.x import y`, not a relative import"
            names |= {f"asr.{alias.name}" for alias in node.names} if node.module == "asr" else {node.module}
    return {name.split(".")[1] for name in names if name.startswith("asr.")}


def files_of(module: str) -> list[Path]:
    """A module's file, or every file of a package."""
    package = SCRIPTS / "asr" / module
    return sorted(package.glob("*.py")) if package.is_dir() else [package.with_suffix(".py")]


def reached_by(stage: str) -> set[str]:
    """The modules of `asr` that a stage's script reaches, directly or not."""
    reached, waiting = set(), imports_of(SCRIPTS / f"{stage}.py")
    while waiting:
        module = waiting.pop()
        reached.add(module)
        if module not in VALIDATION:
            waiting |= set().union(*map(imports_of, files_of(module))) - reached
    return reached - NOT_A_DEPENDENCY


def values_of(parameter) -> list[str]:
    """Every string below a parameter."""
    if isinstance(parameter, dict):
        parameter = list(parameter.values())
    return (
        [value for item in parameter for value in values_of(item)] if isinstance(parameter, list) else [str(parameter)]
    )


def covers(dependency: str, path: str) -> bool:
    """Whether a dependency is the path, or a file or folder in it, or holds it."""
    a, b = Path(dependency), Path(path)
    return a.is_relative_to(b) or b.is_relative_to(a)


def test_every_stage_has_its_script_section_class_and_output(recipe):
    folder, stages = recipe
    params = read_params(folder / "params.yaml")
    assert set(stages) == {name for name, section in params if section is not None}
    for name, stage in stages.items():
        assert name in STAGES
        assert type(getattr(params, name)).__name__ == class_name(name)
        assert stage["params"] == [name]
        assert f"scripts/{name}.py" in stage["cmd"]
        outs = [*stage["outs"], *(path for metric in stage.get("metrics", ()) for path in metric)]
        assert outs and all(Path(out).is_relative_to(f"outputs/{name}") for out in outs)
        assert getattr(params, name).output_dir == Path("outputs") / name


def test_every_module_is_in_the_list_of_the_package():
    listed = set(re.findall(r"\w+", (SCRIPTS / "asr/__init__.py").read_text()))
    packages = {path.parent.name for path in (SCRIPTS / "asr").glob("*/__init__.py")}
    modules = {path.stem for path in (SCRIPTS / "asr").glob("*.py")} | packages
    assert modules - {"__init__"} <= listed


def test_curves_of_every_training_and_histograms_of_the_data_are_plots(recipe):
    folder, stages = recipe
    plots = {path for plot in YAML(typ="safe").load(folder / "dvc.yaml")["plots"] for path in plot}
    trainings = [name for name, stage in stages.items() if "launch.py" in stage["cmd"]]
    curves = {f"outputs/{name}/{curve}.csv" for name in trainings for curve in ("loss", "wer")}
    assert plots == curves | {f"outputs/prepare_audio/card/{what}.csv" for what in ("durations", "characters_a_second")}


@pytest.mark.parametrize("stage", STAGES)
def test_every_script_has_its_test_target_class_and_place_in_the_readme(stage):
    assert (REPOSITORY / f"tests/scripts/test_{stage}.py").exists()
    assert re.search(rf"^[A-Z_]+ :=.*\b{stage}\b", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert Params.model_fields[stage]
    assert f"| `{stage}` |" in (REPOSITORY / "README.md").read_text()


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_its_test_and_target(command):
    assert (REPOSITORY / f"tests/scripts/test_{command}.py").exists()
    assert re.search(rf"^{command.replace('_', '-')}: .*## ", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert command not in Params.model_fields


def test_dependencies_name_every_module_that_a_script_reaches(recipe):
    folder, stages = recipe
    for name, stage in stages.items():
        modules = [f"scripts/asr/{module}" for module in reached_by(name)]
        expected = {f"scripts/{name}.py", *(path if (REPOSITORY / path).is_dir() else f"{path}.py" for path in modules)}
        deps = {(folder / dep).resolve().relative_to(REPOSITORY).as_posix() for dep in stage["deps"]}
        given = {dep for dep in deps if dep.startswith("scripts/")}
        assert given == expected, f"{folder}/dvc.yaml: {name}: add {expected - given}, remove {given - expected}"


def test_dependencies_cover_every_path_among_the_parameters(recipe):
    folder, stages = recipe
    params = read_params(folder / "params.yaml")
    for name, stage in stages.items():
        paths = values_of(getattr(params, name).model_dump(mode="json"))
        for path in (path for path in paths if path.startswith(("outputs/", "data/"))):
            known = [*stage["deps"], f"outputs/{name}"]
            assert any(covers(dep, path) for dep in known), f"{folder}/dvc.yaml: {name}: deps: add {path}"
