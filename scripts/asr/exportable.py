"""What every engine that is not transformers takes for granted of a Whisper: a vocabulary that is Whisper's own.

    misread = "faster-whisper takes every token above <|30.00|> for a timestamp"
    config, tokenizer, feature_extractor = require_own_vocabulary(model_dir, misread)

In: a plain Whisper's folder. Out: the same as `load_without_weights`, or a `UserError` that says what its tokens would do.
"""

from pathlib import Path

from transformers import GenerationConfig, WhisperConfig, WhisperFeatureExtractor, WhisperTokenizer

from asr.domain_tokens import new_tokens_of
from asr.errors import UserError
from asr.model import load_without_weights
from asr.vocabulary import generation_config
from asr.whisper_shape import ENGLISH_VOCABULARY_SIZE, VOCABULARY_SIZES


def require_own_vocabulary(
    model_dir: Path, misread: str
) -> tuple[WhisperConfig, WhisperTokenizer, WhisperFeatureExtractor]:
    """Refuse what would convert without an error and then run wrongly.

    Args:
        misread: what the engine would make of other tokens, "faster-whisper takes …", for the message.

    Raises:
        UserError: the model has added tokens, or fewer than Whisper's.
    """
    config, tokenizer, feature_extractor = load_without_weights(model_dir)
    size, sizes = config.vocab_size, (ENGLISH_VOCABULARY_SIZE, *VOCABULARY_SIZES.values())
    if tokens := new_tokens_of(model_dir):
        raise UserError(
            f"{model_dir}: the model has {size} tokens, of which {', '.join(tokens)} are new; {misread}, so train with "
            "domain.mode: prompt, which needs none"
        )
    # By the last token too: with one added token a model of 51865 has the size of one with Cantonese.
    if size not in sizes or len(tokenizer) != size or tokenizer.convert_ids_to_tokens(size - 1) != "<|30.00|>":
        raise UserError(
            f"{model_dir}: the model has {size} tokens, its tokenizer {len(tokenizer)}, and these are not Whisper's own, "
            f"which are {', '.join(map(str, sizes))} and end with <|30.00|>; {misread}, so train without added tokens "
            "(a domain can be named in the prompt)"
        )
    return config, tokenizer, feature_extractor


def suppressed_tokens(model_dir: Path) -> tuple[list[int], list[int]]:
    """The tokens that a model's `generate` never writes, and those that it does not write first.

    What its generation config does not say is said as `load_whisper` and `complete_english` complete it.
    """
    config, tokenizer, _ = load_without_weights(model_dir)
    file = model_dir / "generation_config.json"
    given = GenerationConfig.from_pretrained(model_dir) if file.is_file() else GenerationConfig()
    default = generation_config(tokenizer, config.decoder_layers, config.decoder_attention_heads)
    found = []
    for name in ("suppress_tokens", "begin_suppress_tokens"):
        value = getattr(given, name, None)
        found.append(list((getattr(default, name, None) if value is None else value) or ()))
    return found[0], found[1]
