"""What `dvc plots diff` draws of an evaluation: each test set by itself, each model once a commit, with its interval."""

import csv
import json
from pathlib import Path

import pytest
from dvc_render.vega import VegaRenderer
from ruamel.yaml import YAML

import evaluation
from asr.judged import SILENCE, Judged

REPOSITORY = Path(__file__).resolve().parents[1]
RECIPES = [REPOSITORY, *sorted(path.parent for path in REPOSITORY.glob("recipes/*/dvc.yaml"))]


@pytest.fixture
def rows(tmp_path):
    """Lines of wer.csv, as DVC reads them of two commits."""
    plan = [Judged(name, tmp_path, "transformers", "greedy", ("short", "long", SILENCE)) for name in ("base", "tuned")]
    rates = {f"{rate}{bound}": 0.1 for rate in ("wer", "cer") for bound in ("", "_low", "_high")}
    rates |= {"profile": "none 0123456789abcdef"}
    unsure = {"wer": 0.5, "cer": 0.5, "profile": "none 0123456789abcdef"}
    metrics = {"base": {"short": rates, "long": rates}, "tuned": {"short": rates, "long": unsure}}
    evaluation.write_plotted(tmp_path / "wer.csv", plan, metrics)
    with (tmp_path / "wer.csv").open(encoding="utf-8", newline="") as opened:
        read = list(csv.DictReader(opened))
    return [row | {"rev": commit} for commit in ("HEAD", "workspace") for row in read]


@pytest.mark.parametrize("folder", RECIPES, ids=lambda folder: folder.name)
def test_error_rates_of_each_test_set_are_drawn_with_their_intervals(folder, rows):
    (plot,) = YAML(typ="safe").load(folder / "dvc.yaml")["stages"]["evaluation"]["plots"]
    options = plot["outputs/evaluation/wer.csv"]
    assert options.pop("cache") is False
    renderer = VegaRenderer(rows, "wer", **options, template_dir=str(REPOSITORY / ".dvc/plots"))
    drawn = renderer.get_filled_template()
    assert "<DVC_METRIC_" not in json.dumps(drawn)
    assert drawn["data"]["values"] == rows and drawn["facet"]["field"] == "test_set"
    assert drawn["title"]["text"].lower() == options["x"]
    assert not any("filter" in step for step in drawn["transform"])  # what is bad is drawn too
    read = [step["calculate"] for step in drawn["transform"] if "calculate" in step]
    assert read == [f"toNumber(datum['{options['x']}{bound}'])" for bound in ("", "_low", "_high")]
    assert {(row["rev"], row["test_set"], row["model"]) for row in rows} == {
        (commit, test_set, model)
        for commit in ("HEAD", "workspace")
        for test_set in ("short", "long")
        for model in ("base", "tuned")
    }
    assert rows[3]["wer_low"] == ""  # not known: then there is no line through the point
