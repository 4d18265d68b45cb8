"""A second loss that teaches a new encoder to spell: CTC over UTF-8 bytes.

From random weights the decoder first learns what sentences look like and hears nothing; when its attention finds the
audio is a matter of luck and hundreds of steps. A CTC loss on the encoder's output needs no attention, and once the
encoder tells sounds apart the decoder's attention locks in soon (joint CTC and attention training, arXiv 1609.06773).
Pretrained weights have no use for it. The head is one matrix, trained along and thrown away; the weights that are left
are plain Whisper's.
"""

from collections.abc import Sequence

import torch
from torch import nn

BLANK = 256
CLASSES = 257  # 256 byte values and the blank


class CtcHead(nn.Linear):
    """Encoder states [batch, positions, width] to log-probabilities of bytes [batch, positions, 257]."""

    def __init__(self, width: int):
        super().__init__(width, CLASSES)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return super().forward(states.float()).log_softmax(-1)


def ctc_loss(log_probabilities: torch.Tensor, texts: Sequence[bytes]) -> torch.Tensor:
    """Negative log-probability of the texts, summed over their bytes and over the batch.

    Args:
        log_probabilities: [batch, positions, 257].
        texts: what each row says; b"" where nobody speaks. A text longer than the row has positions counts nothing.
    """
    lengths = torch.tensor([len(text) for text in texts])
    return nn.functional.ctc_loss(
        log_probabilities.transpose(0, 1),
        torch.tensor(list(b"".join(texts)), dtype=torch.long, device=log_probabilities.device),
        input_lengths=torch.full_like(lengths, log_probabilities.shape[1]),
        target_lengths=lengths,
        blank=BLANK,
        reduction="sum",
        zero_infinity=True,
    )
