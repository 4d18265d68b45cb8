"""Log-mel spectrograms: computed in batches, kept in one memory-mapped file, composed into the encoder's window.

    mels = log_mels(waveforms, mel_filters(model_dir), device)    # each [frames, mels], at its own length
    cache = open_features(folder, "train", mels=80)               # written by `write_features`, or prepare_audio's shards
    window = compose([(cache.log_mel(0), 0), (cache.log_mel(1), 450)], frames=3000)      # [mels, 3000]

Whisper clamps a window's log-mel to its maximum minus 8, so what is kept is the log10 before that clamp, and `compose`
clamps when the window is complete. Frame i hears the samples from 160 i - 200 to 160 i + 200; frames that hear nothing
but padding are log10(1e-10) = -10 and are not kept.
"""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import datasets
import numpy as np
import torch
from datasets import Dataset, Value
from datasets.arrow_writer import ArrowWriter
from transformers import WhisperFeatureExtractor
from transformers.audio_utils import hertz_to_mel, mel_to_hertz

from asr.audio import decode
from asr.errors import UserError
from asr.utterance import columns, load_split, require_labels
from asr.whisper_shape import FFT_SAMPLES, HOP_SAMPLES, SAMPLE_RATE, WINDOW_FRAMES, WINDOW_SAMPLES

FLOOR = 1e-10  # mel power below this counts as this
LOG_FLOOR = -10.0


def frames_of(samples: int) -> int:
    """Frames that hear any of so many samples, at most a window's."""
    return min(-(-(samples + FFT_SAMPLES // 2) // HOP_SAMPLES), WINDOW_FRAMES)


def mel_filters(model_dir: Path) -> np.ndarray:
    """`[bins, mels]` of the model's own feature extractor (80 or 128 mels)."""
    return WhisperFeatureExtractor.from_pretrained(model_dir).mel_filters


def log_mels(waveforms: list[np.ndarray], mel_filters: np.ndarray, device: torch.device | str) -> list[np.ndarray]:
    """log10 of each waveform's mel power, not clamped: float32 `[frames_of(samples), mels]`.

    The power spectrum is that of `WhisperFeatureExtractor._torch_extract_fbank_features` (Hann window, reflection at
    the ends of the 30 s window), computed for a batch that is padded only as far as its longest waveform is heard.

    Args:
        waveforms: float32 `[samples]` at 16 kHz, each at most 30 s.
    """
    assert all(0 < len(waveform) <= WINDOW_SAMPLES for waveform in waveforms)
    # The end of the batch is reflected into its last frames; 2 windows of zeros keep that from what is heard, except at
    # 30 s, where the extractor reflects too.
    width = min(max(map(len, waveforms)) + 2 * FFT_SAMPLES, WINDOW_SAMPLES)
    batch = torch.zeros(len(waveforms), width)
    for row, waveform in zip(batch, waveforms, strict=True):
        row[: len(waveform)] = torch.from_numpy(waveform)
    window = torch.hann_window(FFT_SAMPLES, device=device)
    spectrum = torch.stft(batch.to(device), FFT_SAMPLES, HOP_SAMPLES, window=window, return_complex=True)
    power = spectrum.real.square() + spectrum.imag.square()  # [batch, bins, frames]; abs() takes a root first
    filters = torch.from_numpy(mel_filters).to(device, torch.float32)
    mels = (power.transpose(1, 2) @ filters).clamp_(min=FLOOR).log10_().cpu().numpy()  # [batch, frames, mels]
    return [mel[: frames_of(len(waveform))] for mel, waveform in zip(mels, waveforms, strict=True)]


def compose(parts: list[tuple[np.ndarray, int]], frames: int) -> np.ndarray:
    """A window as the encoder hears it: float32 `[mels, frames]`.

    Args:
        parts: log-mels `[frames, mels]` as `log_mels` gives them, each with the frame at which it starts. The louder
            one counts where two overlap; what reaches past the window's end is cut off. A part that does not start the
            window differs from its waveform inside the window in its first frames: alone, its start was reflected.
        frames: the window's length; 3000 for an unchanged encoder.
    """
    window = np.full((frames, parts[0][0].shape[1]), LOG_FLOOR, dtype=np.float32)
    for log_mel, start in parts:
        place = window[start : start + len(log_mel)]
        np.maximum(place, log_mel[: len(place)], out=place)
    np.maximum(window, window.max() - 8.0, out=window)
    return np.ascontiguousarray((window.T + 4.0) / 4.0)


def scale_frequencies(window: np.ndarray, scale: float) -> np.ndarray:
    """A log-mel window `[mels, frames]` with every frequency multiplied by `scale`, as if by another vocal tract.

    Source: vocal tract length perturbation, Jaitly and Hinton 2013.
    """
    centers = _mel_centers(len(window))
    places = np.interp(centers / scale, centers, np.arange(len(window)))  # where in the window each bin is taken from
    below = places.astype(int)
    above = np.minimum(below + 1, len(window) - 1)
    share = (places - below).astype(np.float32)[:, None]
    return np.ascontiguousarray(window[below] * (1 - share) + window[above] * share)


@cache
def _mel_centers(mels: int) -> np.ndarray:
    """Hertz, of Whisper's mel bins."""
    highest = hertz_to_mel(SAMPLE_RATE / 2, "slaney")
    return mel_to_hertz(np.linspace(0.0, highest, mels + 2), "slaney")[1:-1]


class _Rows:
    """Rows one at a time, ten times as fast as the data set itself gives them."""

    utterances: Dataset

    def row(self, index: int) -> dict:
        """An utterance's columns, but for the sound."""
        return {name: column[index].as_py() for name, column in self._columns.items()}

    def _set_columns(self) -> None:
        # A selection of rows would not be seen here; caches have none.
        self._columns = {name: self.utterances.data.column(name) for name in self.utterances.column_names}


class FeatureCache(_Rows):
    """The log-mels of one split, memory-mapped: shared by processes, cheap to pickle.

    utterances: `datasets.Dataset` with an utterance's columns without `audio`, and `first_frame`, `frames`.
    """

    def __init__(self, folder: Path, split: str):
        """Raises `UserError` if the cache does not have the split."""
        self.folder, self.split = Path(folder), split
        if not (self._path / "log_mel.npy").is_file():
            raise UserError(
                f"{self._path}: no features; add {split} to extract_features.splits and run extract_features"
            )
        self._open()

    @property
    def _path(self) -> Path:
        return self.folder / self.split

    def _open(self) -> None:
        self.utterances = Dataset.from_file(str(self._path / "utterances.arrow"))
        if missing := cached_columns().keys() - set(self.utterances.column_names):
            raise UserError(f"{self._path}: made by an older version, without {', '.join(missing)}; make it again")
        self._first = self.utterances.data.column("first_frame").to_numpy()
        self._frames = self.utterances.data.column("frames").to_numpy()
        self._log_mel = np.load(self._path / "log_mel.npy", mmap_mode="r")
        self._set_columns()

    @property
    def mels(self) -> int:
        return self._log_mel.shape[1]

    def __len__(self) -> int:
        return len(self._frames)

    def log_mel(self, index: int) -> np.ndarray:
        """float16 `[frames, mels]`, a read-only view of the file."""
        first = self._first[index]
        return self._log_mel[first : first + self._frames[index]]

    def __getstate__(self) -> dict:
        return {"folder": self.folder, "split": self.split}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._open()


class AudioFeatures(_Rows):
    """The same of prepare_audio's shards, computed as they are asked for: no cache on disk, more work in every step."""

    def __init__(self, folder: Path, split: str, mels: int):
        self.folder, self.split, self.mels = Path(folder), split, mels
        self._open()

    def _open(self) -> None:
        dataset = load_split(self.folder, self.split)
        require_labels(dataset, self.folder / self.split)
        frames = [frames_of(round(seconds * SAMPLE_RATE)) for seconds in dataset["seconds"][:]]
        self.utterances = dataset.remove_columns("audio").add_column("frames", frames)
        self._audio = dataset.select_columns("audio")
        self._filters = WhisperFeatureExtractor(feature_size=self.mels).mel_filters
        self._set_columns()

    def __len__(self) -> int:
        return len(self._audio)

    def log_mel(self, index: int) -> np.ndarray:
        """float16 `[frames, mels]`."""
        return log_mels([self.waveform(index)], self._filters, "cpu")[0].astype(np.float16)

    def waveform(self, index: int) -> np.ndarray:
        """float32 `[samples]` at 16 kHz."""
        return decode(self._audio[index]["audio"])

    def __getstate__(self) -> dict:
        return {"folder": self.folder, "split": self.split, "mels": self.mels}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._open()


def open_features(folder: Path, split: str, mels: int) -> FeatureCache | AudioFeatures:
    """A split's log-mels: extract_features' cache, or, where `folder` is prepare_audio's, computed from its shards.

    Raises:
        UserError: the split is in neither form there.
    """
    if any((Path(folder) / split).glob("[0-9]*.arrow")):
        return AudioFeatures(folder, split, mels)
    return FeatureCache(folder, split)


def cached_columns() -> datasets.Features:
    """The columns of `utterances.arrow`."""
    kept = {name: feature for name, feature in columns().items() if name != "audio"}
    return datasets.Features(kept | {"first_frame": Value("int64"), "frames": Value("int64")})


def write_features(folder: Path, mels: int, total_frames: int, items: Iterable[tuple[dict, np.ndarray]]) -> None:
    """Write one split's cache: `items` are utterance rows (`audio` is ignored) with their log-mels.

    The file is written from front to back, not through a memory map: on a full disk that is an error to catch, where
    a memory map would kill the process.
    """
    folder.mkdir(parents=True)
    with (folder / "log_mel.npy").open("wb") as file, (folder / "utterances.arrow").open("wb") as table:
        header = {"descr": "<f2", "fortran_order": False, "shape": (total_frames, mels)}
        np.lib.format.write_array_header_1_0(file, header)
        writer = ArrowWriter(stream=table, features=cached_columns())
        first = 0
        for row, log_mel in items:
            file.write(log_mel.astype("<f2", copy=False).tobytes())
            kept = {name: value for name, value in row.items() if name != "audio"}
            writer.write(kept | {"first_frame": first, "frames": len(log_mel)})
            first += len(log_mel)
        writer.finalize()
    assert first == total_frames, (first, total_frames)
