"""What each profile makes of texts: pinned, since a figure without its normaliser says nothing."""

import pytest

from asr.errors import UserError
from asr.normaliser import PROFILES, STEPS, Normaliser, profile_of

CASES = {
    "asr-german-mixed-evals": [
        ("Er sagt: „Zweiundzwanzig Straßen“!", "er sagt 22 strassen"),
        ("Ölmühle, Übung & Ärger", "ölmühle übung ärger"),
        (',,Ja" [lacht]  sagte   René', "ja sagte rene"),
        ("um halb acht", "um halb 8"),
        ("Das ist ein Haus", "das ist ein haus"),
        ("E-Mail", "email"),
    ],
    "whisper-basic": [("Hello,   World! [noise]", "hello world"), ("schön", "schön")],
    "whisper-english": [("I don't like the colour, Mr. Smith", "i do not like the color mister smith")],
    "cjk": [("你好， 世界。", "你好世界"), ("臺灣 ＡＢＣ", "台湾abc")],
    "korean": [("안녕, 하세요!  네.", "안녕 하세요 네")],
    "words": [("Schöne Grüße,  Straße 12!", "schöne grüße straße 12"), ("हिन्दी।", "हिन्दी")],
    "none": [(" As it Is. ", " As it Is. ")],
}


@pytest.mark.parametrize(("profile", "text", "normal"), [(p, *case) for p, cases in CASES.items() for case in cases])
def test_what_is_compared(profile, text, normal):
    assert Normaliser.of(profile)(text) == normal


def test_every_profile_has_cases_and_is_made_of_known_steps():
    assert CASES.keys() == PROFILES.keys()
    assert all(set(steps) <= STEPS.keys() for steps in PROFILES.values())


@pytest.mark.parametrize("profile", PROFILES)
def test_what_is_normal_stays_as_it_is(profile):
    for text in ("Zwölf Boxkämpfer jagen Viktor quer über den Sylter Deich!", "你好， 世界。", "안녕, 하세요!", ""):
        normal = Normaliser.of(profile)(text)
        assert Normaliser.of(profile)(normal) == normal


def test_a_profiles_version_is_of_its_steps_and_their_libraries(monkeypatch):
    versions = {name: Normaliser.of(name).version for name in PROFILES}
    assert len(set(versions.values())) == len(versions)
    assert Normaliser("mine", PROFILES["cjk"]).version == versions["cjk"]  # by any name
    assert Normaliser("mine", PROFILES["cjk"][::-1]).version != versions["cjk"]  # the order matters
    monkeypatch.setattr("asr.normaliser.version", lambda library: "99")
    assert Normaliser.of("asr-german-mixed-evals").version != versions["asr-german-mixed-evals"]
    assert Normaliser.of("words").version == versions["words"]


def test_a_users_own_profile_comes_first_and_what_is_unknown_is_named():
    assert Normaliser.of("mine", {"mine": ["nfc", "lower_case"]})("ÄB") == "äb"
    assert Normaliser.of("none", {"none": ["lower_case"]})("A") == "a"
    with pytest.raises(UserError, match="no profile is called germn; there are asr-german"):
        Normaliser.of("germn")
    with pytest.raises(UserError, match="profile mine: no step is called lower; there are"):
        Normaliser.of("mine", {"mine": ["lower"]})


def test_each_language_has_a_profile():
    assert [profile_of(code) for code in ("de", "en", "zh", "ja", "ko", "ru", "hi")] == [
        "asr-german-mixed-evals", "whisper-english", "cjk", "cjk", "korean", "words", "words",
    ]  # fmt: skip
