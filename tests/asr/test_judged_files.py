"""The scorer's command line: whose profiles it knows, and what it says beside the rates."""

import json
from pathlib import Path

import pytest

from asr.errors import UserError
from asr.judged_files import main

PARAMS = Path(__file__).resolve().parents[2] / "params.yaml"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where `both.jsonl` is; of the second utterance whisper-basic leaves nothing."""
    rows = [
        {"id": 1, "reference": "Licht an", "hypothesis": "LICHT an"},
        {"id": 2, "reference": "(lacht)", "hypothesis": "ja ja"},
    ]
    (tmp_path / "both.jsonl").write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_words_where_the_reference_is_empty_once_normalised_are_told(folder, capsys):
    main(["--predictions", "both.jsonl", "--profile", "whisper-basic"])
    said = capsys.readouterr().out
    assert "0 substitutions, 0 deletions, 2 insertions\n2 of the insertions where the profile leaves no word" in said
    main(["--predictions", "both.jsonl", "--profile", "none"])
    assert "where the profile leaves" not in capsys.readouterr().out


def test_profiles_of_the_params_file_here_are_known_too(folder, capsys):
    with pytest.raises(UserError, match="no profile is called lower_case; there are asr-german-mixed-evals, "):
        main(["--predictions", "both.jsonl", "--profile", "lower_case"])
    own = "evaluation:\n  profiles: {lower_case: [lower_case]}"
    (folder / "params.yaml").write_text(PARAMS.read_text(encoding="utf-8").replace("evaluation:", own, 1))
    main(["--predictions", "both.jsonl", "--profile", "lower_case"])
    assert "profile lower_case " in capsys.readouterr().out


def test_references_alone_want_predictions(folder, capsys):
    with pytest.raises(SystemExit):
        main(["--references", "both.jsonl", "--profile", "none"])
    assert "required: --predictions" in capsys.readouterr().err
