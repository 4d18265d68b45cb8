"""The training loss: cross entropy where something is taught, and for random weights two that show the way.

    with training_loss(model, labeler, ctc_weight=0.3, guided_attention_weight=0.5, vocabulary=vocabulary):
        model(input_features=…, decoder_input_ids=…, labels=…, label_seconds=…, step=…).loss

Whisper's own forward projects every position onto all 51,865 tokens, padding and prompts too; that projection is more
than half of a small model's step, and most of a large one's memory at the end. Here only the positions with a label
are projected.
"""

import functools
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import MethodType

from torch.nn.functional import cross_entropy
from transformers import WhisperForConditionalGeneration
from transformers.modeling_outputs import Seq2SeqLMOutput

from asr.ctc import CtcHead, ctc_loss
from asr.guided_attention import guided_attention_loss, recorded_cross_attention
from asr.labels import IGNORED, Labeler
from asr.sampled_vocabulary import SampledVocabulary


@contextmanager
def training_loss(
    model: WhisperForConditionalGeneration,
    labeler: Labeler,
    ctc_weight: float = 0.0,
    guided_attention_weight: float = 0.0,
    vocabulary: SampledVocabulary | None = None,
) -> Iterator[None]:
    """Within the block `model(…, labels=…)` returns the training loss, a mean over its own labels, and no logits.

    With a `vocabulary` the cross entropy of a training `step` is over that part of the tokens; `ctc_weight` and
    `guided_attention_weight` are those of the losses in `ctc.py` and `guided_attention.py`.

    The CTC head is a part of the model meanwhile, so that its weights are optimised, shared between processes and kept
    in checkpoints like the others. Afterwards the model is a plain Whisper again.
    """
    plain = WhisperForConditionalGeneration.forward

    @functools.wraps(plain)  # `generate` reads the signature
    def forward(self, input_features=None, labels=None, label_seconds=None, step=None, ids=None, **inputs):
        if labels is None:  # `generate`
            return plain(self, input_features, **inputs)
        states = self.model(input_features, decoder_input_ids=inputs["decoder_input_ids"], use_cache=False)
        taught = labels != IGNORED
        decoded = states.last_hidden_state[taught]  # [taught tokens, width]
        if vocabulary is not None and self.training:
            loss = vocabulary.cross_entropy(decoded, self.proj_out.weight, labels[taught], step)
        else:
            loss = cross_entropy(self.proj_out(decoded).float(), labels[taught])
        if self.ctc_head is not None:
            texts = [labeler.decode(row).encode() for row in labels.tolist()]
            spelled = ctc_loss(self.ctc_head(states.encoder_last_hidden_state), texts)
            loss = loss + ctc_weight * spelled / taught.sum()
        if heard and label_seconds is not None:
            astray = guided_attention_loss(heard, label_seconds)
            loss = loss + guided_attention_weight * astray / taught.sum()
        return Seq2SeqLMOutput(loss=loss)

    model.forward = MethodType(forward, model)
    model.ctc_head = CtcHead(model.config.d_model).to(model.device) if ctc_weight else None
    guided = recorded_cross_attention(model.model.decoder) if guided_attention_weight else nullcontext([])
    try:
        with guided as heard:
            yield
    finally:
        del model.forward, model.ctc_head
