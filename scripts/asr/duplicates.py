"""What a source holds twice: rows that only show to be wrong beside others.

seen = Seen()
item = seen.check(item)      # in the order of the corpora: the first of two stays
"""

from hashlib import blake2b

from asr.cuts import reject
from asr.utterance import Rejected, Utterance


def digest_of(content: bytes) -> bytes:
    """Sixteen bytes that stand for a recording."""
    return blake2b(content, digest_size=16).digest()


class Seen:
    """Rejects an id that was there before, and a recording that was there before, in the same source."""

    def __init__(self):
        self._digests: set[bytes] = set()

    def check(self, item: Utterance | Rejected) -> Utterance | Rejected:
        """The item, or its rejection as a repetition of an earlier utterance."""
        if isinstance(item, Rejected):
            return item
        row = digest_of(b"row\0" + item.id.encode())
        audio = item.source.encode() + b"\0" + digest_of(item.audio)
        spoken, quiet = digest_of(b"spoken\0" + audio), digest_of(b"quiet\0" + audio)
        if row in self._digests:
            return reject(item, "duplicate_row", "the id of an earlier row")
        if spoken in self._digests or (not item.is_silent and quiet in self._digests):  # one silence is like another
            return reject(item, "duplicate_audio", "the recording of an earlier row")
        self._digests |= {row, quiet if item.is_silent else spoken}
        return item
