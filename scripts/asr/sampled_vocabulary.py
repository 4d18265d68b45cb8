"""Cross entropy over a part of the vocabulary: the tokens that are taught, and a few of all the others.

Whisper has 51,865 tokens, a small corpus says a few hundred of them. That the others are not said has to be learnt too,
but not by each of them in each step, where their logits are half of a small model's work. So each step draws some, whose
logits are raised as if they were all (sampled softmax, arXiv 1412.2007).

The draw depends on the seed and the step alone: every device and every micro-batch of a step is judged by the same.
"""

import math
from collections.abc import Iterable

import numpy as np
import torch
from torch.nn.functional import cross_entropy, linear


class SampledVocabulary:
    """What a training's cross entropy is over.

    Args:
        taught: tokens that occur in labels.
        size: of the vocabulary.
        drawn: how many of the other tokens a step draws; at most all of them.
        seed: decides the draws.
    """

    def __init__(self, taught: Iterable[int], size: int, drawn: int, seed: int):
        self._taught = np.unique(np.fromiter(taught, dtype=np.int64))
        self._others = np.setdiff1d(np.arange(size), self._taught)
        self._drawn, self._seed = min(drawn, len(self._others)), seed
        self._class = torch.full((size,), -1)
        self._class[self._taught] = torch.arange(len(self._taught))

    def cross_entropy(
        self, states: torch.Tensor, embedding: torch.Tensor, labels: torch.Tensor, step: int
    ) -> torch.Tensor:
        """The mean over labels.

        Args:
            states: [labels, width], of the decoder.
            embedding: [vocabulary, width], the output's rows.
            labels: [labels], token ids, all among the taught.
            step: of the training.
        """
        rng = np.random.default_rng([self._seed, step])
        drawn = rng.choice(self._others, self._drawn, replace=False)
        tokens = torch.from_numpy(np.concatenate([self._taught, drawn])).to(embedding.device)
        logits = linear(states, embedding[tokens]).float()  # [labels, taught and drawn]
        if self._drawn:
            logits[:, len(self._taught) :] += math.log(len(self._others) / self._drawn)
        return cross_entropy(logits, self._class.to(labels.device)[labels])
