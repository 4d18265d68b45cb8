"""What train and test share is found across sources, whatever comes first."""

from dataclasses import replace
from itertools import permutations

import pytest

from asr.errors import UserError
from asr.leaks import Leaks
from asr.utterance import Utterance

HEARD = Utterance("a/1", b"sound", "Ja, gern.", "de", "p/S", "a", "d", "train")
JUDGED = Utterance("b/1", b"other", "Nein.", "de", "p/T", "b", "d", "test")
DEV = replace(HEARD, id="a/2", split="dev")


def shared(*utterances: Utterance) -> dict[str, int]:
    leaks = Leaks()
    for utterance in utterances:
        leaks.count(utterance)
    return {what: found["shared"] for what, found in leaks.table.items()}


@pytest.mark.parametrize(
    ("what", "changes"),
    [("speakers", {"speaker": "p/S"}), ("recordings", {"audio": b"sound"}), ("sentences", {"text": "ja gern"})],
)
def test_each_kind_is_found_once_in_any_order(what, changes):
    leak = replace(JUDGED, **changes)
    for order in permutations([HEARD, leak, replace(leak, id="b/2"), DEV]):
        assert shared(*order) == dict.fromkeys(("speakers", "recordings", "sentences"), 0) | {what: 1}


def test_nothing_is_shared_with_dev_or_by_speakers_that_nobody_knows():
    unknown = {"speaker": ""}
    assert not any(shared(replace(HEARD, **unknown), replace(JUDGED, **unknown), DEV).values())


def test_only_what_is_asked_for_fails_and_the_message_says_who():
    leaks = Leaks()
    for utterance in (HEARD, replace(JUDGED, speaker="p/S", text=HEARD.text)):
        leaks.count(utterance)
    with pytest.raises(UserError, match=r"1 speakers are in both train and test, such as p/S\. .*prepare_audio.leaks"):
        leaks.check(["speakers", "recordings"])
    leaks.check(["recordings"])
    assert leaks.table["sentences"] == {"shared": 1, "examples": ["Ja, gern."]}
