"""Where somebody speaks: silero's voice activity detection, which faster-whisper brings along, on sound as it comes.

    activity = VoiceActivity()
    for block in blocks(path):
        probabilities = activity(block)      # [windows], of each further 32 ms
    probabilities = activity.finish()        # of the last, which is filled up with silence

The network's state is kept between calls, so that what it says does not depend on how the sound is divided.
"""

import numpy as np
from faster_whisper.vad import get_vad_model

from asr.whisper_shape import SAMPLE_RATE

WINDOW = 512  # samples that the network judges at once
WINDOW_SECONDS = WINDOW / SAMPLE_RATE  # 0.032
CONTEXT = 64  # samples before a window that it hears too
STATE = 128  # numbers in each of its two states


class VoiceActivity:
    """Probabilities of speech, window by window."""

    def __init__(self):
        self._session = get_vad_model().session
        self._state = [np.zeros((1, 1, STATE), np.float32) for _ in "hc"]
        self._context = np.zeros(CONTEXT, np.float32)
        self._rest = np.zeros(0, np.float32)

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """`samples`: float32 `[samples]`, 16 kHz. Returns float32 `[windows]`, of the windows that are complete."""
        sound = np.concatenate([self._rest, samples])
        count = len(sound) // WINDOW
        self._rest = sound[count * WINDOW :]
        if not count:
            return np.zeros(0, np.float32)
        sound = np.concatenate([self._context, sound[: count * WINDOW]])
        self._context = sound[-CONTEXT:]
        windows = np.lib.stride_tricks.sliding_window_view(sound, CONTEXT + WINDOW)[::WINDOW]
        inputs = {"input": np.ascontiguousarray(windows), "h": self._state[0], "c": self._state[1]}
        said, *self._state = self._session.run(None, inputs)
        return said.reshape(-1)

    def finish(self) -> np.ndarray:
        """The last window's probability, `[1]`, or `[0]` if nothing is left of the sound."""
        return self(np.zeros(-len(self._rest) % WINDOW, np.float32))
