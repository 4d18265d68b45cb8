"""The scorer on any two files, of any recogniser:

    python scripts/evaluation.py --predictions hyp.jsonl --references ref.jsonl --profile asr-german-mixed-evals
    python scripts/evaluation.py --predictions both.csv --profile whisper-basic           # columns reference and hypothesis
    python scripts/evaluation.py --predictions hyp.tsv --references ref.tsv --profile none --against theirs.tsv

In: JSON lines, CSV or TSV, what was recognised and what was said (`text_pairs.py`). Out: the rates with 95 % intervals, printed
as fractions to five digits, and as JSON with --output; with --against the paired test of two recognisers on the same references.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from asr.command import PARAMS_FILE
from asr.errors import UserError
from asr.normaliser import PROFILES, Normaliser
from asr.params_file import read_params
from asr.text_pairs import Pair, read_pairs, same_references


def main(arguments: Sequence[str]) -> None:
    """What the command line asks for, printed."""
    given = _parser().parse_args(arguments)
    normaliser = Normaliser.of(given.profile, _own_profiles(given.profile))
    if given.output:
        read = [file for file in (given.predictions, given.references, given.against) if file]
        if given.output.resolve() in [file.resolve() for file in read]:
            raise UserError(f"--output {given.output}: is read here too; give another file")
        _require_writable(given.output)
    pairs = read_pairs(given.predictions, given.references)
    others = None
    if given.against:
        others = same_references(read_pairs(given.against, given.references), pairs, given.against, given.predictions)
    judged = judge(pairs, normaliser, others)
    if given.output:
        partial = _partial(given.output)
        try:
            partial.write_text(json.dumps(judged, indent=1) + "\n", encoding="utf-8")
            partial.rename(given.output)
        finally:
            partial.unlink(missing_ok=True)
    print("\n".join(_lines(judged)))


def judge(pairs: Sequence[Pair], normaliser: Normaliser, others: Sequence[Pair] | None = None) -> dict:
    """Rates (see `scoring.Scored.figures`) with bounds, and the comparison with `others`: the same utterances, as many, in order.

    Raises:
        UserError: the profile leaves nothing of the references.
    """
    from asr.intervals import known
    from asr.judging import JudgedSet, Utterances
    from asr.scoring import contiguous_wer

    ids, references = [pair.id for pair in pairs], [pair.reference for pair in pairs]
    nothing = [""] * len(pairs)
    utterances = Utterances(ids, references, "", [0.0] * len(pairs), [pair.speaker for pair in pairs], nothing)
    sides = {"predictions": pairs} | ({"against": others} if others is not None else {})
    texts = {name: [pair.hypothesis for pair in side] for name, side in sides.items()}
    of = JudgedSet(utterances, texts, normaliser)
    unknown = sum(not pair.speaker for pair in pairs)
    judged = {"utterances": len(pairs), "without_speaker": unknown, **of.figures("predictions")}
    judged["wer_contiguous"] = contiguous_wer(references, texts["predictions"], normaliser)
    if others is not None:
        figure = "cer" if normaliser.by_character else "wer"
        against = {"figure": figure, figure: of.figures("against")[figure]}
        judged["against"] = against | known(vars(of.difference("predictions", "against")))
    return judged


def _own_profiles(name: str) -> dict[str, list[str]]:
    """evaluation.profiles of the params.yaml here, if `name` is none of ours."""
    if name in PROFILES or not PARAMS_FILE.is_file():
        return {}
    evaluation = read_params(PARAMS_FILE).evaluation
    return evaluation.profiles if evaluation else {}


def _require_writable(file: Path) -> None:
    """Before anything is judged for nothing."""
    if not file.parent.is_dir():
        raise UserError(f"--output {file}: no such folder; make it first")
    try:
        if file.is_dir():
            raise UserError(f"--output {file}: is a folder; give the name of a file")
        _partial(file).touch(exist_ok=False)
        _partial(file).unlink()
    except FileExistsError:
        raise UserError(f"--output {file}: {_partial(file)} is in its way; move that, or give another name") from None
    except OSError as error:
        raise UserError(f"--output {file}: cannot be written ({error.strerror}); give another place") from error


def _partial(file: Path) -> Path:
    """What the figures are written to before they are whole."""
    return file.with_name(file.name + ".partial")


def _lines(judged: dict) -> list[str]:
    without = judged["without_speaker"] if judged["resampled_by"] == "speaker" else 0
    alone = f" (utterances without one, each its own: {without})" if without else ""
    lines = [
        f"profile {judged['profile']}, utterances: {judged['utterances']}, words: {judged['words']}, 95 % intervals by "
        f"{judged['resampled_by']}{alone}"
    ]
    for name in ("wer", "wer_contiguous", "wer_compounds", "wer_raw", "mer", "cer", "cer_raw"):
        interval = f"  [{judged[f'{name}_low']:.5f}, {judged[f'{name}_high']:.5f}]" if f"{name}_low" in judged else ""
        lines.append(f"{name:15}{judged[name]:.5f}{interval}")
    lines.append(", ".join(f"{judged[name]} {name}" for name in ("substitutions", "deletions", "insertions")))
    if written := judged["insertions_in_silence"]:
        lines.append(f"{written} of the insertions where the profile leaves no word of the reference")
    if against := judged.get("against"):
        shows = f"; such a test set shows differences from {against['smallest']:.5f} on" if against["smallest"] else ""
        low, high = against["low"], against["high"]
        interval = "not known" if low is None else f"{low:+.5f}, {high:+.5f}"
        lines.append(
            f"against        {against['figure']} {against[against['figure']]:.5f}: difference {against['difference']:+.5f} "
            f"[{interval}], p {against['p']:.4f}, better with a probability of "
            f"{against['wins']:.1%}{shows}"
        )
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--predictions", type=Path, required=True, metavar="FILE", help="JSON lines, CSV or TSV with id and text"
    )
    parser.add_argument(
        "--references",
        type=Path,
        metavar="FILE",
        help="the same; none: --predictions has reference and hypothesis in each row; a speaker in its rows is resampled by",
    )
    parser.add_argument(
        "--profile",
        required=True,
        metavar="NAME",
        help=f"how texts are normalised: {', '.join(PROFILES)}, or one of evaluation.profiles of the params.yaml here",
    )
    parser.add_argument(
        "--against", type=Path, metavar="FILE", help="another recogniser's predictions, to compare with"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the figures as JSON")
    return parser
