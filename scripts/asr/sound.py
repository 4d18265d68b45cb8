"""The sound of a window: composed from cached log-mels, or from recordings that are changed on the way.

    Sound(cache, augmentation).features(window)       # float32 [mels, frames]

Noise, rooms, telephones and speeds are of the sound and not of its log-mel, so a training that wants them reads
prepare_audio's recordings; the other changes, and windows in which nobody speaks, do with the cache.
"""

import numpy as np
from transformers import WhisperFeatureExtractor

from asr.augmentation import Augmentation, Waveforms, change_speed
from asr.errors import UserError
from asr.features import AudioFeatures, FeatureCache, compose, log_mels
from asr.no_speech import no_speech, recordings_in
from asr.whisper_shape import HOP_SAMPLES, WINDOW_SAMPLES
from asr.windows import Window


class Sound:
    """What the encoder hears of planned windows."""

    def __init__(self, cache: FeatureCache | AudioFeatures, augmentation: Augmentation):
        """Raises `UserError` if the sound is to be changed and `cache` holds none, or `noise_dir` holds no noise."""
        if augmentation.of_sound and not isinstance(cache, AudioFeatures):
            raise UserError(
                f"{cache.folder}: log-mels, but augment changes the sound; set features_dir: outputs/prepare_audio, or the "
                "shares of noise, room, gain, pitch, telephone and speed to 0"
            )
        self._cache = cache
        self._noises = recordings_in(augmentation.noise_dir) if augmentation.noise_dir else []
        self._changes = Waveforms(augmentation) if augmentation.of_sound else None
        self._filters = WhisperFeatureExtractor(feature_size=cache.mels).mel_filters

    def features(self, window: Window) -> np.ndarray:
        """The window's log-mel as the encoder takes it, float32 `[mels, frames]`."""
        if not window.parts:
            rng = np.random.default_rng([window.seed, 3])
            return self._log_mel(no_speech(rng, min(window.heard * HOP_SAMPLES, WINDOW_SAMPLES), self._noises), window)
        parts = [*window.parts, *([window.cut_off] if window.cut_off else [])]
        if self._changes is None or window.seed is None:
            return compose([(self._cache.log_mel(part.utterance), part.offset) for part in parts], window.frames)
        waveform = np.zeros(window.frames * HOP_SAMPLES, np.float32)
        end = 0
        for part in parts:
            said = self._cache.waveform(part.utterance)
            if part.speed != 1.0:
                said = change_speed(said, part.speed)
            first = part.offset * HOP_SAMPLES
            place = waveform[first : first + len(said)]
            place += said[: len(place)]
            end = first + len(place)
        # What follows the last utterance is the padding of a runtime, which no room and no noise is in.
        return self._log_mel(self._changes(waveform[:end], np.random.default_rng([window.seed, 1])), window)

    def _log_mel(self, waveform: np.ndarray, window: Window) -> np.ndarray:
        return compose([(log_mels([waveform], self._filters, "cpu")[0], 0)], window.frames)
