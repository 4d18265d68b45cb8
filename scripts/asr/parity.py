"""Whether an export behaves as the model that it was made of: measured on real recordings before its stage ends.

    parity = Parity(Path("outputs/merge_lora"), read_heard(Path("outputs/prepare_audio"), utterances=32), batch=16)
    measured = parity.of(engine, folder, load_seconds=0.4)     # what parity.json holds
    missed = misses(measured, limits)                          # [] if it is equal enough

In: the model, an engine that runs the export (`faster_engine.FasterWhisper`, `whisper_cpp.WhisperCpp`, `onnx_engine.Onnx`), and
recordings with their transcripts. What is compared: the encoder's output, how probable each finds the tokens of the transcript
(teacher-forced), greedy transcripts and their errors. The model is computed by transformers in float32.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from asr.english import ENGLISH, knows_english_alone
from asr.errors import UserError
from asr.heard import Heard, read_heard
from asr.intervals import Resamples
from asr.normaliser import Normaliser, profile_of
from asr.paths import require_folder
from asr.progress import progress
from asr.scoring import Scored, score_utterance, total
from asr.transformers_engine import Transformers
from asr.whisper_shape import SAMPLE_RATE

BATCH = 16  # recordings that the model decodes at once
FORCED = 8  # recordings whose encoder output and probabilities are compared; a transcript more says less than these


@dataclass(frozen=True)
class Limits:
    """How far an export may be from its model; the fields are described in `params.Parity`."""

    encoder_cosine: float
    log_probability: float
    identical: float
    error_difference: float


class Engine(Protocol):
    """What runs an export."""

    def greedy(self, waveforms: Sequence[np.ndarray], language: str) -> Iterator[tuple[int, str]]: ...

    def encoded(self, waveform: np.ndarray) -> np.ndarray | None: ...

    def log_probabilities(self, waveform: np.ndarray, prompt: list[int], text: list[int]) -> np.ndarray | None: ...


class Parity:
    """A model, against which its exports are measured."""

    def __init__(self, model_dir: Path, heard: Heard, batch: int, before_dir: Path | None = None):
        """What the model writes of the recordings is asked for once, however many exports there are.

        Args:
            batch: recordings that a model decodes at once.
            before_dir: the model that training started from, to tell what training has changed.
        """
        # First of all, so that the two models are never in memory at once.
        before = None
        if before_dir:
            before, _ = _transcripts(Transformers(before_dir, batch, full_precision=True), heard, "before training")
        self._model, self._heard = Transformers(model_dir, batch, full_precision=True), heard
        self._prompt = self._model.prompt(heard.language)
        self._texts = [self._model.tokens(text, heard.language) for text in heard.texts[:FORCED]]
        self._normalise, self._sets = Normaliser.of(profile_of(heard.language)), Resamples(heard.speakers)
        self._before = None if before is None else self._score(before)
        self._seconds = sum(map(len, heard.waveforms)) / SAMPLE_RATE

    def of(self, engine: Engine, export: Path, load_seconds: float) -> dict:
        """What is measured of an export: `export`'s size, and figures of `engine`, which runs it.

        Returns:
            as parity.json: rates and shares as fractions, log-probabilities in nats; `None` where the engine does not tell.
        """
        transcripts, seconds = _transcripts(engine, self._heard, export.name)
        scored = self._score(transcripts)
        sides = {"before": self._before, "after": self._scored, "export": scored}
        same = [mine == its for mine, its in zip(self._transcripts[0], transcripts, strict=True)]
        return {
            "recordings": len(transcripts),
            "seconds": round(self._seconds, 2),
            "language": self._heard.language,
            "encoder": self._encoder(engine),
            "log_probabilities": self._probabilities(engine),
            "identical_transcripts": sum(same) / len(same),
            "errors": self._errors(scored),
            "figures": {side: self._figures(of) for side, of in sides.items() if of is not None},
            "megabytes": megabytes(export),
            "load_seconds": round(load_seconds, 3),
            "speech_seconds_a_second": {
                "export": round(self._seconds / seconds, 1),
                "model": round(self._seconds / self._transcripts[1], 1),
            },
        }

    def prove(self, open_engine: Callable[[], Engine], export: Path, limits: Limits) -> str:
        """Measure an export, write its parity.json, and say in a line how near it is to its model.

        Raises:
            UserError: it is further than the limits allow.
        """
        start = time.perf_counter()
        engine = open_engine()
        measured = self.of(engine, export, time.perf_counter() - start)
        if missed := misses(measured, limits):
            raise UserError(
                f"{export.name}: not equal to its model, and not written: {'; '.join(missed)}. Choose another type of weights, "
                "or widen the stage's `parity` in params.yaml"
            )
        (export / "parity.json").write_text(json.dumps(measured, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        errors, speed = measured["errors"], measured["speech_seconds_a_second"]
        return (
            f"{measured['identical_transcripts']:.0%} of {measured['recordings']} transcripts are the model's, {errors['figure'].upper()} "
            f"{errors['export']:.4f} (model {errors['model']:.4f}), {speed['export']:g} s of speech a second ({speed['model']:g})"
        )

    @cached_property
    def _transcripts(self) -> tuple[list[str], float]:
        return _transcripts(self._model, self._heard, "the model")

    @cached_property
    def _scored(self) -> list[Scored]:
        return self._score(self._transcripts[0])

    def _score(self, transcripts: Sequence[str]) -> list[Scored]:
        return [score_utterance(*pair, self._normalise) for pair in zip(self._heard.texts, transcripts, strict=True)]

    def _figures(self, scored: Sequence[Scored]) -> dict:
        """As `metrics.json` has them of a test set: rates with their bounds, and what texts were compared by."""
        figures = {"words": total(scored).words.words}
        for name, counts in (("wer", [one.words for one in scored]), ("cer", [one.characters for one in scored])):
            interval = self._sets.interval([one.errors for one in counts], [one.words for one in counts])
            figures |= {name: interval.rate} | interval.bounds(name)
        return figures | {"profile": self._normalise.profile, "resampled_by": self._sets.unit}

    def _errors(self, scored: Sequence[Scored]) -> dict:
        by_character = self._normalise.by_character
        mine, its = ([one.counted(by_character) for one in side] for side in (self._scored, scored))
        words = [one.words for one in mine]
        compared = self._sets.compare([one.errors for one in its], [one.errors for one in mine], words)
        model, export = (sum(one.errors for one in side) / max(sum(words), 1) for side in (mine, its))
        return {
            "figure": "cer" if by_character else "wer",
            "model": model,
            "export": export,
            "difference": compared.difference,
            "interval": None if np.isnan(compared.low) else [compared.low, compared.high],
            "resampled_by": self._sets.unit,
        }

    def _encoder(self, engine: Engine) -> dict | None:
        cosines, errors = [], []
        for waveform in self._heard.waveforms[:FORCED]:
            if (its := engine.encoded(waveform)) is None:
                return None
            mine = self._model.encoded(waveform)
            cosines.append(float((mine * its).sum() / (np.linalg.norm(mine) * np.linalg.norm(its))))
            errors.append(float(np.abs(mine - its).max()))
        return {"lowest_cosine": float(np.min(cosines)), "maximum_error": float(np.max(errors))}

    def _probabilities(self, engine: Engine) -> dict | None:
        differences = []
        for waveform, text in zip(self._heard.waveforms, self._texts, strict=False):
            if not text:
                continue
            if (its := engine.log_probabilities(waveform, self._prompt, text)) is None:
                return None
            differences.append(np.abs(its - self._model.log_probabilities(waveform, self._prompt, text)))
        if not differences:
            return None
        together = np.concatenate(differences)
        return {"mean_difference": float(together.mean()), "maximum_difference": float(together.max())}


def proof_of(model_dir: Path, values: Mapping | None) -> Callable[[Callable[[], Engine], Path], str]:
    """What `Parity.prove` does of a stage's exports; `values` are those of `params.Parity`, or none for no proof."""
    if values is None:
        return lambda open_engine, export: "not compared with its model: params.yaml has no `parity` here"
    language = ENGLISH if knows_english_alone(model_dir) else None
    heard = read_heard(values["audio_dir"], values["utterances"], language)
    if not heard.waveforms:  # an English model is of use to who has no English recordings
        reason = (
            f"NOT COMPARED with its model, which knows English alone: {values['audio_dir']}/dev has no transcribed "
            "recording in English; prepare some and convert the model again to have it proved"
        )
        return lambda open_engine, export: reason
    limits = {name: value for name, value in values.items() if name not in ("audio_dir", "utterances", "before_dir")}
    if before_dir := values["before_dir"]:
        require_folder(before_dir, "run the stage base_model first, or leave parity.before_dir out")
    # Opened with the first proof, so that the model takes no memory while it is converted.
    parity = cache(lambda: Parity(model_dir, heard, BATCH, before_dir))
    return lambda open_engine, export: parity().prove(open_engine, export, Limits(**limits))


def misses(measured: Mapping, limits: Limits) -> list[str]:
    """What of an export is further from its model than the limits allow, a line each."""
    found = []

    def require(what: str, value: float, limit: float, at_least: bool) -> None:
        if not (value >= limit if at_least else value <= limit):  # what is no number is no good either
            found.append(f"{what} {value:.4g}, {'at least' if at_least else 'at most'} {limit:g}")

    if (encoder := measured["encoder"]) is not None:
        require("cosine of the encoder's output", encoder["lowest_cosine"], limits.encoder_cosine, at_least=True)
    if (logs := measured["log_probabilities"]) is not None:
        require("mean difference of log-probabilities", logs["mean_difference"], limits.log_probability, at_least=False)
    require("share of identical transcripts", measured["identical_transcripts"], limits.identical, at_least=True)
    errors = measured["errors"]
    require(
        f"difference of {errors['figure'].upper()}", abs(errors["difference"]), limits.error_difference, at_least=False
    )
    return found


def megabytes(export: Path) -> float:
    """The size of a folder, or of a file, in 1e6 bytes."""
    files = [file for file in export.rglob("*") if file.is_file()] if export.is_dir() else [export]
    return sum(file.stat().st_size for file in files) / 1e6


def _transcripts(engine: Engine, heard: Heard, whose: str) -> tuple[list[str], float]:
    """Transcripts in the recordings' order, and the seconds that they took."""
    texts, start = [""] * len(heard.waveforms), time.perf_counter()
    said = engine.greedy(heard.waveforms, heard.language)
    for position, text in progress(said, len(texts), f"proof: {whose}", "transcript"):
        texts[position] = text
    return texts, time.perf_counter() - start
