"""The largest batch that fits is found, in few tries, and what fits has really been trained."""

import re

import pytest

from asr.probe import largest_batch


@pytest.mark.parametrize("most", [1, 2, 7, 16, 100])
def test_the_largest_that_fits_is_found_in_few_tries_and_no_size_is_tried_twice(most):
    for room in range(most + 2):
        asked = []

        def fits(size, room=room, asked=asked):
            asked.append(size)
            return size <= room

        tries = largest_batch(fits, most)
        assert max((size for size, fitted in tries.items() if fitted), default=0) == min(room, most)
        assert asked == list(tries) and max(asked) <= most
        assert len(asked) <= 2 * most.bit_length()


ONE = ["--global_batch", "1", "--windows.full_batch", "1", "--windows.packed_batch", "1"]


@pytest.mark.slow
def test_what_fits_and_what_does_not_is_tried_for_real(run_script, monkeypatch):
    said = run_script("probe", *ONE).stdout
    took, answer = re.search(r" 1 windows  ([\d.]+) GB\n(.*)\n", said).groups()
    assert answer.startswith(f"device_batch: 1    # {took} GB of ") and answer.endswith(
        "no step of this recipe has more"
    )

    monkeypatch.setenv("MEMORY_GB", str(float(took) / 2))
    monkeypatch.setenv("STAGE", "finetune_whisper")
    done = run_script("probe", *ONE, "--model_dir", "outputs/base_model", check=False)
    assert done.returncode == 1
    assert "1 windows  do not fit" in done.stdout and "error: not even one window fits" in done.stderr


@pytest.mark.parametrize(("name", "value"), [("MEMORY_GB", "much"), ("MEMORY_GB", "0"), ("STAGE", "evaluation")])
def test_a_wrong_variable_is_one_message(run_script, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    done = run_script("probe", check=False)
    assert done.returncode not in (0, None)
    assert f"error: {name}={value}: " in done.stderr + str(done.returncode)
