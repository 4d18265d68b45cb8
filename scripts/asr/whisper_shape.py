"""Whisper's fixed measures: what each checkpoint, of any size, hears at once and can write.

In: nothing, and nothing is imported, so that every module may read it. Out: constants; what follows from others is
computed from them.

Source: openai-whisper's `audio.py` and `tokenizer.py`; arXiv 2212.04356, sections 2.2 and 2.3.
"""

SAMPLE_RATE = 16_000  # samples a second
FFT_SAMPLES = 400  # a frame hears 25 ms
HOP_SAMPLES = 160  # from one frame to the next
FRAME_SECONDS = HOP_SAMPLES / SAMPLE_RATE  # 0.01

WINDOW_FRAMES = 3000  # what the encoder hears at once; it halves them to 1,500 positions
WINDOW_SAMPLES = WINDOW_FRAMES * HOP_SAMPLES
WINDOW_SECONDS = WINDOW_SAMPLES / SAMPLE_RATE  # 30.0

MAX_TOKENS = 448  # positions of the decoder
MAX_PROMPT_TOKENS = MAX_TOKENS // 2 - 1  # 223 after <|startofprev|>, as in every runtime
MAX_TEXT_TOKENS = MAX_TOKENS - 8  # text and timestamps; the rest is for control tokens, of which a window needs four

TIMESTAMP_SECONDS = 2 * FRAME_SECONDS  # 0.02, the grid of the timestamp tokens <|0.00|> … <|30.00|>
MAX_TIMESTAMP = WINDOW_FRAMES // 2  # the last point of the grid

VOCABULARY_SIZES = {80: 51_865, 128: 51_866}  # mel bins -> tokens, multilingual; 128 mels came with Cantonese
ENGLISH_VOCABULARY_SIZE = 51_864  # of the .en models

# Codes in the order of their ids. The last, Cantonese, came with 128 mels.
LANGUAGES = tuple(
    [
        "en",
        "zh",
        "de",
        "es",
        "ru",
        "ko",
        "fr",
        "ja",
        "pt",
        "tr",
        "pl",
        "ca",
        "nl",
        "ar",
        "sv",
        "it",
        "id",
        "hi",
        "fi",
        "vi",
        "he",
        "uk",
        "el",
        "ms",
        "cs",
        "ro",
        "da",
        "hu",
        "ta",
        "no",
        "th",
        "ur",
        "hr",
        "bg",
        "lt",
        "la",
        "mi",
        "ml",
        "cy",
        "sk",
        "te",
        "fa",
        "lv",
        "bn",
        "sr",
        "az",
        "sl",
        "kn",
        "et",
        "mk",
        "br",
        "eu",
        "is",
        "hy",
        "ne",
        "mn",
        "bs",
        "kk",
        "sq",
        "sw",
        "gl",
        "mr",
        "pa",
        "si",
        "km",
        "sn",
        "yo",
        "so",
        "af",
        "oc",
        "ka",
        "be",
        "tg",
        "sd",
        "gu",
        "am",
        "yi",
        "lo",
        "uz",
        "fo",
        "ht",
        "ps",
        "tk",
        "nn",
        "mt",
        "sa",
        "lb",
        "my",
        "bo",
        "tl",
        "mg",
        "as",
        "tt",
        "haw",
        "ln",
        "ha",
        "ba",
        "jw",
        "su",
        "yue",
    ]
)
