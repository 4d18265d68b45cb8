"""What is done to a transcript before training: spelling stays, encoding accidents go.

    clean("Gru\u0308n  ist\tes.")     # "Grün ist es."

Case and punctuation are kept, since the model is to write them.
"""

import unicodedata


def clean(text: str) -> str:
    """`text` in Unicode NFC (one code point for "ü"), each run of white space a single space, none at the ends."""
    return " ".join(unicodedata.normalize("NFC", text).split())
