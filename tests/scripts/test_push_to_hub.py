"""The card tells what the stages have measured; a push is private unless it is said, and makes one clear message where it fails."""

import base64
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from huggingface_hub import ModelCard
from ruamel.yaml import YAML

from asr.lineage import sha256

METRICS = {
    "base_model": {"general": {"wer": 0.5, "cer": 0.25, "words": 604}},
    "merge_lora": {
        "general": {"wer": 0.0414, "cer": 0.0333, "words": 604},
        "domain": {"wer": 0.2, "cer": 0.1, "words": 9},
    },
}
STATS = {"general": {"train": {"kept": 3600, "hours": 2.3129, "speakers": 44}}}


@pytest.fixture
def evaluated(tiny_recipe):
    """The tiny recipe with what evaluation, prepare_audio and merge_lora would have left."""
    outputs = tiny_recipe / "outputs"
    for stage, name, content in (("evaluation", "metrics.json", METRICS), ("prepare_audio", "stats.json", STATS)):
        (outputs / stage).mkdir()
        (outputs / stage / name).write_text(json.dumps(content))
    (outputs / "merge_lora").symlink_to((outputs / "base_model").resolve())
    (card := outputs / "evaluation/cards/convert_to_faster/int8").mkdir(parents=True)
    of = {"model": {"sha256": sha256(outputs / "merge_lora")}}
    git = {"commit": "0123abc", "dirty": True}
    made = {
        "data": None,
        "form": "ctranslate2",
        "git": git,
        "inputs": of,
        "metrics": {},
        "stages": None,
        "versions": {},
    }
    (card / "lineage.json").write_text(json.dumps(made))
    (outputs / "evaluation/gates.json").write_text("[]")
    return outputs


@pytest.fixture
def hub(monkeypatch):
    """A Hub that takes whatever is pushed; `pushed` holds what it was told."""
    pushed = {"files": {}}

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self):
            private = pushed.get("repository", {}).get("visibility") == "private" and not pushed.get("was_public")
            self.reply({"siblings": [], "id": "somebody/whisper-de", "sha": "0" * 40, "tags": [], "private": private})

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            pushed["token"] = self.headers["Authorization"]
            if self.path.endswith("/repos/create"):
                pushed["repository"] = json.loads(body)
                self.reply({"url": f"http://{self.headers['Host']}/somebody/whisper-de", "name": "somebody/whisper-de"})
            elif "/preupload/" in self.path:
                files = json.loads(body)["files"]
                self.reply(
                    {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]}
                )
            elif "/commit/" in self.path:
                for line in map(json.loads, body.splitlines()):
                    if line["key"] == "file":
                        pushed["files"][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                self.reply(
                    {
                        "commitUrl": f"http://{self.headers['Host']}/somebody/whisper-de/commit/0",
                        "commitOid": "0" * 40,
                        "success": True,
                    }
                )
            else:  # is the card's head valid?
                self.reply({"errors": [], "warnings": []})

        def reply(self, content):
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr("huggingface_hub.hf_api.ENDPOINT", f"http://127.0.0.1:{server.server_port}", raising=False)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    yield pushed
    server.shutdown()


@pytest.mark.parametrize(("public", "private"), [("", True), ("0", True), ("1", False)])
def test_the_model_and_its_card_are_pushed_private_unless_it_is_said(
    evaluated, run_script, hub, monkeypatch, public, private
):
    monkeypatch.setenv("HUB_MODEL_ID", "somebody/whisper-de")
    monkeypatch.setenv("HUB_PUBLIC", public)
    said = run_script("push_to_hub").stdout
    assert ("private" in said) == private and "whisper-de" in said
    assert (hub["repository"].get("visibility") == "private") is private and hub["token"] == "Bearer hf_secret"
    assert {"config.json", "model.safetensors", "tokenizer.json", "preprocessor_config.json", "README.md"} <= hub[
        "files"
    ].keys()
    assert hub["files"]["config.json"] == (evaluated / "merge_lora/config.json").read_bytes()
    card = hub["files"]["README.md"].decode()
    assert "# whisper-de" in card and "hf_secret" not in card and '"somebody/whisper-de")' in card
    lineage = json.loads(hub["files"]["lineage.json"])
    assert lineage["git"]["commit"] == "0123abc" and lineage["inputs"]["model"]["sha256"]
    assert "form" not in lineage and "metrics" not in lineage  # an export's alone


def test_a_repository_that_is_public_already_gets_nothing_unasked(evaluated, run_script, hub, monkeypatch):
    monkeypatch.setenv("HUB_MODEL_ID", "somebody/whisper-de")
    hub["was_public"] = True
    done = run_script("push_to_hub", check=False)
    assert done.returncode == 1 and "somebody/whisper-de is public already; set HUB_PUBLIC=1" in done.stderr
    assert hub["files"] == {}


def test_the_card_compares_before_and_after_and_names_data_licences_and_commit(evaluated, run_script):
    card = run_script("push_to_hub").stdout  # no HUB_MODEL_ID: nothing is pushed
    assert "To push the model" in card
    assert "| general | 604 | 50.00 % | 4.14 % | 25.00 % | 3.33 % |" in card
    assert "| domain | 9 |  | 20.00 % |  | 10.00 % |" in card  # the base model was not judged on it
    assert "| general | train | 3600 | 2.31 | 44 | synthetic |" in card
    assert "trained from new weights with Flüsterwerk (commit `0123abc+`)" in card
    head = YAML(typ="safe").load(card.split("---")[1])
    assert head["language"] == ["de"] and head["license"] == "other"  # a new model has no one's
    figures = {
        (r["dataset"]["name"], m["type"]): m["value"] for r in head["model-index"][0]["results"] for m in r["metrics"]
    }
    assert figures == {
        ("general", "wer"): 0.0414,
        ("general", "cer"): 0.0333,
        ("domain", "wer"): 0.2,
        ("domain", "cer"): 0.1,
    }


def test_the_card_tells_intervals_and_the_normaliser_and_leaves_out_where_nobody_speaks(evaluated, run_script):
    figures = METRICS["base_model"]["general"] | {"wer_low": 0.4, "wer_high": 0.61, "cer_low": 0.2, "cer_high": 0.3}
    figures |= {"profile": "whisper-basic 0123456789abcdef"}
    silent = {"silence": {"clips": 14, "with_text": 0.5, "phantom": 0.0}}
    metrics = {"base_model": {"general": figures} | silent, "merge_lora": {"general": figures} | silent}
    (evaluated / "evaluation/metrics.json").write_text(json.dumps(metrics))
    card = run_script("push_to_hub").stdout
    wer, cer = "50.00 % [40.00, 61.00]", "25.00 % [20.00, 30.00]"
    assert f"| general | 604 | {wer} | {wer} | {cer} | {cer} | whisper-basic 0123456789abcdef |" in card
    wer = ModelCard(card[: card.index("This is the card")]).data.eval_results[0]
    assert wer.metric_args == {"normaliser": "whisper-basic 0123456789abcdef", "interval_95": [0.4, 0.61]}
    assert "silence" not in card.split("## Data")[0]
    assert "Where nobody speaks it writes something in 50% of 14 clips (before: 50%), in 0% a phrase" in card


def test_words_from_data_cannot_break_the_card():
    from asr.model_card import model_card

    evil = 'a | b\n---\n# "c": `d` <script>'
    figures = {"wer": 0.5, "cer": 0.5, "words": 1, "profile": "x | y"}
    data = {evil: {"train": {"kept": 1, "hours": 1.0, "speakers": 1}}}
    text = model_card("x/y", evil, "a", "b", {"b": {evil: figures}}, data, {evil: evil}, ["de"], None)
    card = ModelCard(text)
    assert {result.dataset_name for result in card.data.eval_results} == {evil}
    tables = [line for line in card.text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in tables} == {6, 7}
    assert "<script>" not in re.sub(r"\\<|\\>", "", card.text)
    headings = [line for line in card.text.splitlines() if line.startswith("#")]
    assert headings == ["# y", "## Use", "## Before and after", "## Data", "## Licence"]


def test_openais_licence_goes_with_its_weights():
    from asr.model_card import model_card

    given = {
        "before": "a",
        "after": "b",
        "metrics": {"b": {}},
        "data": {},
        "licences": {},
        "languages": ["de"],
        "git": None,
    }
    card = model_card("x/y", "openai/whisper-tiny", **given)
    assert "license: apache-2.0" in card and "base_model: openai/whisper-tiny" in card
    assert "license: mit" in model_card("x/y", "openai/whisper-large-v3-turbo", **given)


def test_missed_gates_are_told(evaluated, run_script):
    missed = {"gate": "merge_lora general wer", "passed": False}
    (evaluated / "evaluation/gates.json").write_text(json.dumps([missed]))
    assert "gates.json: 1 gates missed, merge_lora general wer among them" in run_script("push_to_hub").stderr


def test_parameters_are_those_that_the_stages_ran_with(evaluated, run_script):
    file = evaluated / "evaluation/cards/convert_to_faster/int8/lineage.json"
    lineage = json.loads(file.read_text())
    hub = {"source": "hub", "hub": {"id": "openai/whisper-tiny"}}
    sources = {"general": {"language": "ru", "licence": "CC0"}}
    file.write_text(json.dumps(lineage | {"stages": {"base_model": hub, "prepare_audio": {"sources": sources}}}))
    card = run_script("push_to_hub").stdout
    assert "trained from openai/whisper-tiny" in card and '"language": "ru"' in card
    assert "| general | train | 3600 | 2.31 | 44 | CC0 |" in card


def test_the_lines_of_the_card_transcribe(evaluated, run_script, run_code):
    card = run_script("push_to_hub").stdout
    run_code(card.split("```python\n")[1].split("```")[0].replace('"owner/whisper-de"', f'"{evaluated}/merge_lora"'))


def test_a_model_that_is_not_there_or_is_another_than_was_judged_has_no_card(evaluated, run_script):
    file = evaluated / "evaluation/cards/convert_to_faster/int8/lineage.json"
    file.write_text(file.read_text().replace(sha256(evaluated / "merge_lora"), "0" * 64))
    done = run_script("push_to_hub", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "merge_lora: evaluation has judged no export of this very model; name convert_to_faster" in done.stderr
    file.unlink()  # as in a clone, which has the committed figures of another machine's model
    done = run_script("push_to_hub", check=False)
    assert (done.returncode, done.stdout) == (1, "") and "has judged no export of this very model" in done.stderr
    (evaluated / "merge_lora").unlink()
    done = run_script("push_to_hub", check=False)
    assert (done.returncode, done.stdout) == (1, "") and "merge_lora: no model; run make export-ct2" in done.stderr


@pytest.mark.parametrize(
    ("name", "token", "message"),
    [
        ("not an id", "hf_secret", "HUB_MODEL_ID: "),
        ("whisper-de", "hf_secret", "HUB_MODEL_ID: whisper-de has no owner; give owner/name"),
        ("somebody/whisper-de", "", "HF_TOKEN: not set; put one that may write"),
    ],
)
def test_what_is_lacking_is_told_before_the_network_is_tried(
    evaluated, run_script, hub, monkeypatch, name, token, message
):
    monkeypatch.setenv("HUB_MODEL_ID", name)
    monkeypatch.setenv("HF_TOKEN", token)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(evaluated / "no token"))
    done = run_script("push_to_hub", check=False)
    assert done.returncode == 1 and f"error: {message}" in done.stderr and hub == {"files": {}}


def test_a_hub_out_of_reach_and_what_is_not_there_are_one_message(evaluated, run_script, monkeypatch):
    monkeypatch.setenv("HUB_MODEL_ID", "somebody/whisper-de")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # the discard port
    monkeypatch.setattr("huggingface_hub.hf_api.ENDPOINT", "http://127.0.0.1:9", raising=False)
    done = run_script("push_to_hub", check=False)
    assert done.returncode == 1 and "somebody/whisper-de cannot be pushed to the Hub" in done.stderr
    (evaluated / "evaluation/metrics.json").unlink()
    assert "run the stage evaluation first" in run_script("push_to_hub", check=False).stderr
