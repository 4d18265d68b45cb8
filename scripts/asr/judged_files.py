"""The scorer on any two files, as `scripts/evaluation.py --predictions hyp.jsonl --references ref.jsonl` runs it.

In: transcripts of any recogniser and what was said (`text_pairs.py`). Out: the rates with 95 % intervals, printed as fractions to
five digits, or written as JSON; with `--against` the paired test of two recognisers on the same references.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from asr.errors import UserError
from asr.intervals import Resamples
from asr.normaliser import PROFILES, Normaliser
from asr.text_pairs import Pair, read_pairs

WITH_INTERVAL = ("wer", "cer")


def main(arguments: Sequence[str], description: str) -> None:
    """What the command line asks for, printed."""
    given = _parser(description).parse_args(arguments)
    pairs = read_pairs(given.predictions, given.references)
    others = read_pairs(given.against, given.references) if given.against else None
    judged = judge(pairs, Normaliser.of(given.profile), others)
    if given.output:
        given.output.write_text(json.dumps(judged, indent=1) + "\n", encoding="utf-8")
    print("\n".join(_lines(judged)))


def judge(pairs: Sequence[Pair], normaliser: Normaliser, others: Sequence[Pair] | None = None) -> dict:
    """Rates (see `scoring.Scored.figures`), intervals, and the comparison with `others`, which pair with the same references."""
    from asr.scoring import contiguous_wer, score_utterance, total

    scored = [score_utterance(pair.reference, pair.hypothesis, normaliser) for pair in pairs]
    figures = total(scored).figures()
    if not figures["words"]:
        raise UserError(f"profile {normaliser.name}: leaves no word of the references; choose another")
    resamples = Resamples([pair.speaker for pair in pairs])
    words = [one.words.words for one in scored]
    intervals = {
        "wer": resamples.interval([one.words.errors for one in scored], words),
        "cer": resamples.interval([one.characters.errors for one in scored], [one.characters.words for one in scored]),
    }
    texts = [pair.reference for pair in pairs], [pair.hypothesis for pair in pairs]
    judged = {
        "profile": normaliser.name,
        "profile_version": normaliser.version,
        "utterances": len(pairs),
        "resampled_by": resamples.unit,
        **figures,
        "wer_contiguous": contiguous_wer(*texts, normaliser),
        "intervals": {name: [interval.low, interval.high] for name, interval in intervals.items()},
    }
    if others is not None:
        again = [score_utterance(pair.reference, pair.hypothesis, normaliser) for pair in others]
        errors = ([one.words.errors for one in side] for side in (scored, again))
        judged["against"] = vars(resamples.compare(*errors, words)) | {"wer": total(again).figures()["wer"]}
    return judged


def _lines(judged: dict) -> list[str]:
    lines = [
        f"profile {judged['profile']} ({judged['profile_version']}), {judged['utterances']} utterances, {judged['words']} words, "
        f"95 % intervals by {judged['resampled_by']}"
    ]
    for name in ("wer", "wer_contiguous", "wer_compounds", "wer_raw", "mer", "cer", "cer_raw"):
        bounds = judged["intervals"].get(name)
        interval = f"  [{bounds[0]:.5f}, {bounds[1]:.5f}]" if bounds else ""
        lines.append(f"{name:15}{judged[name]:.5f}{interval}")
    counts = ", ".join(f"{judged[name]} {name}" for name in ("substitutions", "deletions", "insertions"))
    lines.append(counts)
    if against := judged.get("against"):
        lines.append(
            f"against          wer {against['wer']:.5f}: difference {against['difference']:+.5f} "
            f"[{against['low']:+.5f}, {against['high']:+.5f}], p {against['p']:.4f}, better in {against['wins']:.1%} of the "
            f"resampled test sets; this test set shows differences from {against['smallest']:.5f} on"
        )
    return lines


def _parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--predictions", type=Path, required=True, metavar="FILE", help="JSON lines, CSV or TSV with id and text"
    )
    parser.add_argument(
        "--references",
        type=Path,
        metavar="FILE",
        help="the same; none: --predictions has reference and hypothesis in each row; a speaker in its rows is resampled by",
    )
    parser.add_argument("--profile", required=True, choices=PROFILES, help="how texts are normalised")
    parser.add_argument(
        "--against", type=Path, metavar="FILE", help="another recogniser's predictions, to compare with"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the figures as JSON")
    return parser
