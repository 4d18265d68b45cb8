"""Which utterances are trained on and judged by: the cache's rows by source, checked before the first step.

    sources = sources_of(cache, {"general": 0.9, "noise": 0.1}, labeler)      # for `plan.plan_steps`
    windows = evaluation_windows(dev_cache, ["general"], limit=1000)

What prepare_audio lets through is right already; this is for caches from elsewhere, and costs a pass over the columns.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from asr.errors import UserError
from asr.features import FeatureCache
from asr.labels import Labeler
from asr.utterance import written_in
from asr.whisper_shape import WINDOW_FRAMES as FULL_FRAMES
from asr.windows import Part, Source, Window

SLACK_SECONDS = 0.02  # a segment may end so much after its recording: a point of the timestamps' grid


def sources_of(cache: FeatureCache, shares: dict[str, float], labeler: Labeler) -> list[Source]:
    """What `plan.plan_steps` draws from: the cache's utterances by source, with their lengths.

    Raises:
        UserError: a source has no utterance, an utterance's language is not one of the model's, or its segments run
            backwards or past its end.
    """
    names = ("id", "source", "language", "task", "speaker", "domain", "text", "segments", "frames", "seconds")
    columns = {name: cache.utterances[name][:] for name in names}
    source, language = np.array(columns["source"]), np.array(columns["language"])
    frames = np.array(columns["frames"])
    tokens = np.zeros(len(cache), dtype=np.int32)
    _check_segments(cache, columns)
    for code, task in sorted(set(zip(columns["language"], columns["task"], strict=True))):
        try:
            labeler.language(code)
        except ValueError as error:
            row = columns["language"].index(code)
            raise UserError(f"{cache.folder}/{cache.split}: {columns['id'][row]}: {error}") from None
        rows = np.flatnonzero((language == code) & (np.array(columns["task"]) == task))
        parts = [[s["text"] for s in columns["segments"][i]] or [columns["text"][i]] for i in rows]
        counts = iter(labeler.count([text for texts in parts for text in texts], written_in(code, task)))
        # The plan adds an utterance's two timestamps; every further segment has two of its own.
        tokens[rows] = [sum(next(counts) for _ in texts) + 2 * (len(texts) - 1) for texts in parts]
    before = _before(columns["id"])
    speakers, domains = np.array(columns["speaker"]), np.array(columns["domain"])
    result = []
    for name, share in shares.items():
        rows = np.flatnonzero(source == name)
        if not len(rows):
            there = ", ".join(sorted(set(columns["source"])))
            raise UserError(f"{cache.folder}: no utterance of source {name!r}; there are {there}")
        told = (column[rows].tolist() for column in (language, speakers, domains))
        result.append(Source(share, rows, frames[rows], tokens[rows], *told, before))
    return result


def _check_segments(cache: FeatureCache, columns: dict[str, list]) -> None:
    for id, seconds, segments in zip(columns["id"], columns["seconds"], columns["segments"], strict=True):
        last = 0.0
        for segment in segments or ():
            start, end = segment["start"], segment["end"]
            if not last <= start <= end <= seconds + SLACK_SECONDS:
                raise UserError(
                    f"{cache.folder}/{cache.split}: {id}: a segment from {start:.2f} to {end:.2f} s, after one that ends at "
                    f"{last:.2f} s, in {seconds:.2f} s of sound: {segment['text'][:60]!r}; correct it, or let prepare_audio "
                    "check the corpus, which rejects such rows"
                )
            last = end


def _before(ids: Sequence[str]) -> np.ndarray:
    """By row: the row of what was said just before in the same recording ("talk.mp3#3.20-9.87"); -1 where there is none."""
    recordings = [id.rpartition("#")[0] for id in ids]
    return np.array(
        [i - 1 if i and recording and recording == recordings[i - 1] else -1 for i, recording in enumerate(recordings)]
    )


def spoken_of(cache: FeatureCache, sources: Iterable[str]) -> set[tuple[str, str]]:
    """The domains of the sources' utterances, with the language that each is written in."""
    wanted = set(sources)
    columns = (cache.utterances[name][:] for name in ("source", "domain", "language", "task"))
    return {
        (domain, written_in(language, task))
        for source, domain, language, task in zip(*columns, strict=True)
        if source in wanted
    }


def tokens_of(cache: FeatureCache, sources: Iterable[str], labeler: Labeler) -> list[int]:
    """The text tokens that the sources' transcripts are made of, each once, in order."""
    wanted, spoken = set(sources), set()
    columns = (cache.utterances[name][:] for name in ("source", "language", "task", "text", "segments"))
    for source, language, task, text, segments in zip(*columns, strict=True):
        if source in wanted:
            written = written_in(language, task)
            spoken |= {(part, written) for part in [s["text"] for s in segments or []] or [text]}
    return sorted({token for text, language in spoken for token in labeler.text(text, language)})


def evaluation_windows(cache: FeatureCache, sources: Sequence[str], limit: int) -> list[Window]:
    """One full window an utterance with a transcript, as runtimes hear it: at most `limit`, always the same, the longest texts first.

    Sorted by length, so that a batch decodes texts of like length and none waits for one long straggler.
    """
    texts, tasks = cache.utterances["text"][:], cache.utterances["task"][:]
    rows = [
        i
        for i, source in enumerate(cache.utterances["source"][:])
        if source in sources and texts[i] and tasks[i] == "transcribe"
    ]
    if not rows:
        raise UserError(f"{cache.folder}: no transcribed utterance of the sources {', '.join(sources)} to evaluate on")
    if len(rows) > limit:
        rows = sorted(np.random.default_rng(0).permutation(rows)[:limit].tolist())
    rows.sort(key=lambda i: -len(texts[i]))
    return [Window((Part(i, 0),), FULL_FRAMES, timestamps=False, zero_padded=False, seed=i) for i in rows]
