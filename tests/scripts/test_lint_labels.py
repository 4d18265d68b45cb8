"""`make lint-labels`: every row of every training of the recipe, and a look at what is taught."""

import pytest


def test_every_training_of_the_recipe_is_checked_and_shown(tiny_recipe, run_script):
    said = run_script("lint_labels").stdout
    # The adapter's model is not trained yet; the tokens are the base model's.
    assert "train_german_model: 21 rows" in said and "finetune_whisper: 39 rows" in said
    assert "<|startoftranscript|> <|de|> <|transcribe|>" in said and "Licht an." in said
    assert "\x1b[" not in said  # no terminal


def test_a_broken_row_ends_it_with_its_id(tiny_recipe, run_script):
    import numpy as np

    from asr.features import write_features
    from asr.utterance import Segment, Utterance

    (tiny_recipe / "outputs/extract_features").unlink()  # a link to what all tests share
    rows = []
    for source, text in (("general", "gut"), ("noise", ""), ("domain", "ja " * 460)):
        segments = (Segment(0.0, 1.0, text),) if text else ()
        row = Utterance(f"{source}/1", b"", text, "de", "", source, "", "train", 1.0, segments).row()
        rows.append((row, np.zeros((100, 80), np.float32)))
    write_features(tiny_recipe / "outputs/extract_features/train", 80, 300, rows)
    done = run_script("lint_labels", check=False)
    assert done.returncode == 1 and "train_german_model: 2 rows" in done.stdout
    assert (
        "error: outputs/extract_features/train: domain/1: 46" in done.stderr
        and "do not fit into the decoder" in done.stderr
    )


@pytest.mark.parametrize(("flag", "status"), [("--help", 0), ("--steps", 2)])
def test_it_takes_no_flags(run_script, flag, status):
    done = run_script("lint_labels", flag, check=False)
    assert done.returncode == status and "make lint-labels" in done.stdout
