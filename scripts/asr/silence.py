"""What a model writes where nobody speaks: sounds of known kinds, made up, and the phrases that Whispers are known to hear in them.

    clips = silent_clips(seed=0, seconds=[1, 10, 30])            # [("silence", waveform), ("white noise", waveform), …]
    silence_figures(texts)                                       # {"clips": 21, "with_text": 0.05, "phantom": 0.0, …}

Whisper was trained on subtitles, whose credits stand where nobody speaks; tuning on clips that are all speech makes it worse.
"""

import re
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from asr.normaliser import words_of_any_script
from asr.whisper_shape import SAMPLE_RATE

LOUDNESS = 0.02  # root mean square, -34 dB of full scale: a quiet room's noise, well recorded
MAINS_HERTZ = 50.0
CHORD_HERTZ = (220.0, 277.2, 329.6)  # A major

# As they are written in credits, normalised; a transcript with one of them is no mishearing.
PHANTOMS = re.compile(
    "|".join(
        map(
            words_of_any_script,
            (
                "Untertitel der Amara.org-Community", "Untertitel im Auftrag des ZDF", "Untertitelung des ZDF", "Untertitel von Stephanie Geiges",
                "Vielen Dank fürs Zuschauen", "Vielen Dank für die Aufmerksamkeit", "SWR 2020", "WDR mediagroup", "Copyright WDR",
                "Thanks for watching", "Thank you for watching", "Please subscribe", "Subtitles by the Amara.org community",
                "Субтитры сделал DimaTorzok", "Субтитры создавал DimaTorzok", "Продолжение следует", "Редактор субтитров",
                "字幕由", "请不吝点赞", "明镜与点点栏目", "ご視聴ありがとうございました", "시청해 주셔서 감사합니다", "MBC 뉴스", "한글자막 by",
                "Sous-titres réalisés par la communauté d'Amara.org", "Subtítulos realizados por la comunidad de Amara.org",
            ),
        )
    )
)  # fmt: skip


def silent_clips(seed: int, seconds: Iterable[float]) -> list[tuple[str, np.ndarray]]:
    """A clip of each kind and length: its kind, and float32 `[samples]` at 16 kHz."""
    rng = np.random.default_rng(seed)
    lengths = [round(length * SAMPLE_RATE) for length in seconds]
    return [(kind, make(samples, rng).astype(np.float32)) for kind, make in KINDS.items() for samples in lengths]


def silence_figures(texts: Sequence[str]) -> dict[str, float | int]:
    """Shares of the clips in which something is written, and in which it is a known phrase; `texts`: what a model wrote."""
    normal = [words_of_any_script(text) for text in texts]
    return {
        "clips": len(texts),
        "with_text": sum(map(bool, normal)) / len(texts),
        "phantom": sum(bool(PHANTOMS.search(text)) for text in normal) / len(texts),
    }


def _colored(exponent: float) -> Callable[[int, np.random.Generator], np.ndarray]:
    """Noise whose power falls with frequency as f^-exponent."""

    def make(samples: int, rng: np.random.Generator) -> np.ndarray:
        spectrum = np.fft.rfft(rng.normal(size=samples))
        spectrum *= np.arange(1, len(spectrum) + 1) ** (-exponent / 2)
        return _as_loud(np.fft.irfft(spectrum, samples))

    return make


def _hum(samples: int, rng: np.random.Generator) -> np.ndarray:
    time = np.arange(samples) / SAMPLE_RATE
    return _as_loud(sum(np.sin(2 * np.pi * MAINS_HERTZ * k * time) / k for k in (1, 2, 3, 5)))


def _clicks(samples: int, rng: np.random.Generator) -> np.ndarray:
    """About two a second, each a hundredth of a second long."""
    clip, decay = np.zeros(samples), np.exp(-np.arange(SAMPLE_RATE // 100) / 20)
    for first in rng.integers(max(samples - len(decay), 1), size=max(2 * samples // SAMPLE_RATE, 1)):
        place = clip[first : first + len(decay)]
        place += 0.5 * decay[: len(place)]
    return clip


def _tones(samples: int, rng: np.random.Generator) -> np.ndarray:
    """A chord, struck anew each second, as of a piano."""
    time = np.arange(samples) / SAMPLE_RATE
    struck = np.exp(-3 * (time % 1.0))
    return _as_loud(struck * sum(np.sin(2 * np.pi * pitch * time) for pitch in CHORD_HERTZ))


def _as_loud(clip: np.ndarray) -> np.ndarray:
    return LOUDNESS * clip / max(float(np.sqrt(np.mean(clip**2))), 1e-9)


KINDS: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    "silence": lambda samples, rng: np.zeros(samples),
    "white noise": _colored(0.0),
    "pink noise": _colored(1.0),
    "brown noise": _colored(2.0),
    "hum": _hum,
    "clicks": _clicks,
    "tones": _tones,
}
