"""Test sets: the utterances of prepare_audio's test split by source, decoded, and checked before anything is judged on them.

read_test_sets(Path("outputs/prepare_audio"), ["general"], long=["talks"])      # {"general": Recordings(…), "talks": …}
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr.audio import CorruptAudio, decode
from asr.errors import UserError
from asr.judging import Utterances
from asr.utterance import load_split, require_labels
from asr.whisper_shape import WINDOW_SAMPLES


@dataclass(frozen=True)
class Recordings:
    """The test utterances of one source."""

    waveforms: list[np.ndarray]  # float32 [samples] each
    flacs: list[bytes]
    utterances: Utterances

    @property
    def language(self) -> str:
        """Whisper's code."""
        return self.utterances.language


def read_test_sets(audio_dir: Path, short: Iterable[str], long: Iterable[str]) -> dict[str, Recordings]:
    """The utterances of each test set; recordings of those that are not `long` last at most 30 s.

    Raises:
        UserError: a test set is empty, in several languages, without a word, or has a clip of over 30 s and is not long.
    """
    rows, where = load_split(audio_dir, "test"), f"{audio_dir}/test"
    sources = rows["source"][:]
    short = list(dict.fromkeys(short))
    test_sets = {}
    for name in dict.fromkeys([*short, *long]):
        own = rows.select([i for i, source in enumerate(sources) if source == name])
        if not len(own):
            raise UserError(f"{where}: no utterance of source {name!r}; there are {', '.join(sorted(set(sources)))}")
        test_sets[name] = _recordings(own, name, where)
    counted = Counter(id for of in test_sets.values() for id in of.utterances.ids)
    if doubled := [id for id, count in counted.items() if count > 1]:
        raise UserError(
            f"{where}: {doubled[0]}: more than one utterance has this id; run the stage prepare_audio again"
        )
    for name in short:
        for utterance, waveform in zip(test_sets[name].utterances.ids, test_sets[name].waveforms, strict=True):
            if len(waveform) > WINDOW_SAMPLES:
                raise UserError(f"{where}: {utterance}: over 30 s; judge {name} among evaluation.long_test_sets")
    return test_sets


def _recordings(rows, name: str, where: str) -> Recordings:
    require_labels(rows, where)
    if "translate" in rows["task"]:
        raise UserError(f"{where}: {name} holds translations, which are not judged; leave it out of the test sets")
    languages = sorted(set(rows["language"]))
    if len(languages) > 1:
        raise UserError(f"{where}: {name} is in several languages, {', '.join(languages)}; make it a source for each")
    texts = rows["text"][:]
    if not any(text.strip() for text in texts):
        raise UserError(f"{where}: {name}: nothing is said in any recording, so that there is no word error rate")
    columns = (rows[column][:] for column in ("seconds", "speaker", "domain"))
    utterances = Utterances(rows["id"][:], texts, languages[0], *columns)
    waveforms = [_decoded(audio, f"{where}: {id}") for id, audio in zip(utterances.ids, rows["audio"], strict=True)]
    return Recordings(waveforms, rows["audio"][:], utterances)


def _decoded(audio: bytes, which: str) -> np.ndarray:
    try:
        return decode(audio)
    except CorruptAudio as error:
        raise UserError(f"{which}: its recording cannot be read; run the stage prepare_audio again: {error}") from error
