"""What is judged on what: each model, and each export in each way in which its engine decodes.

    plan = planned({"merge_lora": Path("outputs/merge_lora")}, {"convert_to_faster": Path("outputs/convert_to_faster")}, sets)
    figures_of(plan[0], "general")              # ("wer", "wer_low", …): what metrics.json will say of it

Nothing is opened here, so that a gate on a figure that there will not be fails in the first second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.english import knows_english_alone
from asr.errors import UserError
from asr.paths import require_folder

TRANSFORMERS = "transformers"
SILENCE = "silence"  # the test set in which nobody speaks
FIGURES = (
    *("wer", "wer_low", "wer_high", "cer", "cer_low", "cer_high", "mer", "wer_raw", "cer_raw", "wer_compounds"),
    *("words", "substitutions", "deletions", "insertions", "insertions_in_silence", "rambling"),
)
SILENCE_FIGURES = ("clips", "with_text", "phantom")
LOST = "lost_sentences"  # of long recordings alone
NO_SPEECH = "no_speech_probability"  # of silence alone
LANGUAGE = "language_accuracy"
TIMESTAMPS = "valid_timestamps"
TRAINING = "training_data"  # stands among the models in metrics.json
SEEN_FIGURES = ("speakers_in_training", "recordings_in_training", "sentences_in_training")
ALL_FIGURES = (*FIGURES, *SILENCE_FIGURES, LOST, NO_SPEECH, LANGUAGE, TIMESTAMPS, *SEEN_FIGURES)


@dataclass(frozen=True)
class Way:
    """The stage that makes the exports, the method of their engine, and evaluation's parameter that says on what."""

    stage: str
    decoding: str
    test_sets: str


WAYS = {  # by their name in metrics.json, `<way>/<export>`
    "convert_to_faster": Way("convert_to_faster", "greedy", "test_sets"),
    "faster_whisper": Way("convert_to_faster", "default", "engine_test_sets"),
    "faster_whisper_without_timestamps": Way("convert_to_faster", "without_timestamps", "engine_test_sets"),
    "faster_whisper_batched": Way("convert_to_faster", "batched", "long_test_sets"),
    "convert_to_ggml": Way("convert_to_ggml", "greedy", "test_sets"),
    "whisper_cpp": Way("convert_to_ggml", "default", "engine_test_sets"),
    "convert_to_onnx": Way("convert_to_onnx", "greedy", "test_sets"),
}
NOT_COMPUTED = {"convert_to_ggml": ("f32",)}  # whisper.cpp opens it and cannot compute with it


@dataclass(frozen=True)
class Judged:
    """A model, or a way to decode an export."""

    model: str
    folder: Path
    engine: str  # TRANSFORMERS, or the stage that made the export
    decoding: str  # a method of the engine
    test_sets: tuple[str, ...]
    long: tuple[str, ...] = ()  # of them, those whose recordings may have any length
    started: tuple[str, ...] = ()  # those of which the first token is asked: which language, and whether anybody speaks
    timed: tuple[str, ...] = ()  # those that are decoded with timestamps too


@dataclass(frozen=True)
class Sets:
    """Names of test sets, as evaluation's parameters of these names have them."""

    test_sets: Sequence[str]
    engine_test_sets: Sequence[str] = ()
    long_test_sets: Sequence[str] = ()
    language_test_sets: Sequence[str] = ()
    timestamps_test_sets: Sequence[str] = ()

    def of(self, parameter: str) -> tuple[str, ...]:
        """Each once."""
        return tuple(dict.fromkeys(getattr(self, parameter)))


def planned(models: Mapping[str, Path], exports: Mapping[str, Path], sets: Sets) -> list[Judged]:
    """In the order of metrics.json.

    Args:
        models: plain Whispers, by name.
        exports: folders of exports, by the stage that makes them.

    Raises:
        UserError: a folder is not there, or holds no export.
    """
    plan, long = [], sets.of("long_test_sets")
    started = {*sets.language_test_sets, SILENCE}
    for name, folder in models.items():
        require_folder(folder, f"run the stage that makes it, or give another for evaluation.models.{name}")
        short = sets.of("test_sets")
        of_start = {SILENCE} if knows_english_alone(folder) else started  # which knows one language needs not to guess
        asked, timed = (tuple(s for s in short if s in of) for of in (of_start, {*sets.timestamps_test_sets}))
        plan.append(Judged(name, folder, TRANSFORMERS, "greedy", (*short, *long), long, asked, timed))
    for name, way in WAYS.items():
        if way.stage in exports and (test_sets := sets.of(way.test_sets)):
            for export in _exports(exports[way.stage], way.stage):
                of_long = test_sets if way.test_sets == "long_test_sets" else ()
                plan.append(Judged(f"{name}/{export.name}", export, way.stage, way.decoding, test_sets, of_long))
    return plan


def figures_of(judged: Judged, test_set: str) -> tuple[str, ...]:
    """The names of a model's figures on a test set."""
    started = test_set in judged.started
    if test_set == SILENCE:
        return (*SILENCE_FIGURES, *[NO_SPEECH] * started)
    timed, long = test_set in judged.timed, test_set in judged.long
    return (*FIGURES, *[LOST] * long, *[LANGUAGE] * started, *[TIMESTAMPS] * timed)


def names_of(plan: Sequence[Judged], of_training: bool) -> dict[str, dict[str, tuple[str, ...]]]:
    """The figures that metrics.json will hold, by model and test set; with those of the training's data or not."""
    names = {one.model: {name: figures_of(one, name) for name in one.test_sets} for one in plan}
    sets = dict.fromkeys(name for one in plan for name in one.test_sets if name != SILENCE)
    return names | ({TRAINING: dict.fromkeys(sets, SEEN_FIGURES)} if of_training else {})


def _exports(folder: Path, stage: str) -> list[Path]:
    remedy = f"run the stage {stage} first"
    found = sorted(path for path in require_folder(folder, remedy).iterdir() if path.is_dir())
    if not found:
        raise UserError(f"{folder}: no export in it; {remedy}")
    left_out = NOT_COMPUTED.get(stage, ())
    found = [path for path in found if path.name not in left_out]
    if not found:
        raise UserError(
            f"{folder}: holds {', '.join(left_out)} alone, which its engine cannot compute with; convert to another type too"
        )
    return found
