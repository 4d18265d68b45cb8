"""What the encoder hears: the same from a cache and from recordings, and of changed recordings what the labels say."""

import numpy as np
import pytest

from asr.audio import encode_flac
from asr.augmentation import Augmentation
from asr.batches import WindowDataset
from asr.errors import UserError
from asr.features import AudioFeatures, FeatureCache, write_features
from asr.labels import Labeler, Prompt
from asr.prompts import Prompts, PromptSettings
from asr.shards import ShardWriter
from asr.sound import Sound
from asr.utterance import Segment, Utterance, columns
from asr.vocabulary import whisper_tokenizer
from asr.whisper_shape import SAMPLE_RATE
from asr.windows import Part, Window

LABELER = Labeler(whisper_tokenizer(80))
SPEAKING = Augmentation(speed_share=1.0, gain_share=1.0, gain_decibels=(0.0, 0.0))  # through the sound, but unchanged


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> AudioFeatures:
    """Three utterances of 1, 2 and 3 seconds, tones with breaks, the last of two segments."""
    folder = tmp_path_factory.mktemp("prepared")
    with ShardWriter(folder / "train", columns(), 10**9) as shards:
        for number, seconds in enumerate((1, 2, 3)):
            times = np.arange(seconds * SAMPLE_RATE) / SAMPLE_RATE
            tone = 0.3 * np.sin(2 * np.pi * 300 * (number + 1) * times) * (np.sin(2 * np.pi * 3 * times) > 0)
            segments = (Segment(0.0, 1.0, "drei"), Segment(1.5, 3.0, "vier")) if number == 2 else ()
            text = ("eins", "zwei", "drei vier")[number]
            flac = encode_flac(tone.astype(np.float32))
            shards.write(Utterance(f"s/{number}", flac, text, "de", "", "s", "d", "train", seconds, segments).row())
    return AudioFeatures(folder, "train", 80)


def window(*parts, **changes):
    values = {"frames": 3000, "timestamps": True, "zero_padded": False, "seed": 5, "step": 0}
    return Window(tuple(Part(*part) for part in parts), **values | changes)


def times_of(labels):
    return [round((label - LABELER.timestamp_begin) * 0.02, 2) for label in labels if label >= LABELER.timestamp_begin]


def test_recordings_and_log_mels_give_the_same_window(recordings):
    planned = window((0, 0), (1, 200), frames=600)
    composed = Sound(recordings, Augmentation()).features(planned)
    heard = Sound(recordings, SPEAKING).features(planned)
    assert heard.shape == composed.shape == (80, 600) and heard.dtype == np.float32
    inner = [
        frame for frame in range(600) if not (frame < 3 or 97 < frame < 203 or frame > 397)
    ]  # ends are reflected or not
    assert np.abs(heard - composed)[:, inner].max() < 0.05


def test_what_is_faster_is_shorter_and_its_times_are_too(recordings):
    planned = window((2, 100, 1.5), (0, 400), frames=600)
    dataset = WindowDataset(recordings, LABELER, augmentation=SPEAKING)
    example = dataset[planned]
    assert times_of(example["labels"]) == [1.0, 1.66, 2.0, 3.0, 4.0, 5.0]
    loud = example["input_features"].max(axis=0) > 0
    assert loud[110:290].any() and not loud[305:395].any() and loud[405:490].any()


def test_changes_of_sound_need_sound(recordings, tmp_path):
    rows = [(recordings.row(i) | {"audio": b""}, recordings.log_mel(i)) for i in range(3)]
    for row, _ in rows:
        row.pop("frames")
    write_features(tmp_path / "train", 80, sum(len(mel) for _, mel in rows), rows)
    cache = FeatureCache(tmp_path, "train")
    Sound(cache, Augmentation(mask_share=1.0))
    for share in ("noise_share", "room_share", "gain_share", "pitch_share", "telephone_share", "speed_share"):
        with pytest.raises(UserError, match=r"log-mels, but augment changes the sound; set features_dir"):
            Sound(cache, Augmentation(**{share: 0.1}))


def test_nobody_speaks_in_a_window_without_parts(recordings):
    dataset = WindowDataset(recordings, LABELER)
    examples = [dataset[window(heard=300, frames=400, seed=seed, zero_padded=True)] for seed in range(20)]
    assert all(example["labels"] == [LABELER.no_speech, LABELER.end] for example in examples)
    assert all(example["ids"] == [] for example in examples)
    assert all((example["input_features"][:, 300:] == 0).all() for example in examples)
    assert len({example["input_features"].tobytes() for example in examples}) > 10  # silence is always the same
    assert np.array_equal(
        dataset[window(heard=300, seed=3)]["input_features"], dataset[window(heard=300, seed=3)]["input_features"]
    )


def test_of_what_is_cut_off_whole_segments_and_a_start_are_taught(recordings):
    dataset = WindowDataset(recordings, LABELER)
    inside = dataset[window((0, 0), cut_off=Part(2, 2750))]  # "drei" ends at 28.5, "vier" goes past the window's end
    assert LABELER.decode(inside["labels"]) == "eins drei"
    assert times_of(inside["labels"]) == [0.0, 1.0, 27.5, 28.5, 29.0]
    before = dataset[window((0, 0), cut_off=Part(1, 2900))]
    assert LABELER.decode(before["labels"]) == "eins" and times_of(before["labels"]) == [0.0, 1.0, 29.0]
    loud = before["input_features"].max(axis=0) > 0
    assert loud[2900:].any()


def test_prompts_are_the_windows(recordings):
    dataset = WindowDataset(recordings, LABELER, Prompts(PromptSettings("prompt", domain_texts={"d": "Zahlen."})))
    example = dataset[window((1, 0), previous=(0,))]
    expected = LABELER.prompt(Prompt(about=("Zahlen.",), previous=("eins",)), "de")
    assert example["decoder_input_ids"][: len(expected)] == expected
    assert dataset[window((1, 0), previous=(0,), seed=None)]["decoder_input_ids"][0] == LABELER.start


def test_a_window_in_which_nobody_speaks_is_told_as_others_are(recordings):
    dataset = WindowDataset(recordings, LABELER, Prompts(PromptSettings("prompt", domain_texts={"d": "Zahlen."})))
    example = dataset[window(heard=300, told_as=1, previous=(0,))]
    head = LABELER.prompt(Prompt(about=("Zahlen.",), previous=("eins",)), "de")
    assert example["decoder_input_ids"] == [*head, LABELER.start, LABELER.no_speech]


def test_masks_are_drawn_by_the_windows_seed(recordings):
    dataset = WindowDataset(recordings, LABELER, augmentation=Augmentation(mask_share=1.0, masks=3))
    one, again, other = (dataset[window((2, 0), seed=seed)]["input_features"] for seed in (1, 1, 2))
    assert np.array_equal(one, again) and not np.array_equal(one, other)
