"""Accuracy and loss of a network on pictures that it is not trained on."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Evaluation:
    """What a network says of a set of pictures, in the order of its batches.

    Args:
        logits: float32 [N, classes].
        labels: int64 [N], the truth.
        accuracy: share of pictures whose largest logit is the right one, in 0..1.
        loss: mean cross-entropy, in nats.
    """

    logits: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    accuracy: float
    loss: float

    @property
    def is_guessing(self) -> bool:
        """Tell whether hardly more is right than for one who always says the most frequent class.

        Three standard errors more, that is, but never more than half of what that one gets wrong.

        Example:
            >>> labels = np.arange(100) % 10
            >>> logits = np.zeros((100, 10), np.float32)
            >>> [Evaluation(logits, labels, accuracy, 2.3).is_guessing for accuracy in (0.1, 0.18, 0.25)]
            [True, True, False]
        """
        share = float(np.bincount(self.labels).max() / len(self.labels))
        standard_error = math.sqrt(share * (1 - share) / len(self.labels))
        return self.accuracy < share + min(3 * standard_error, (1 - share) / 2)


def evaluate(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> Evaluation:
    """Run the network over all batches in eval mode; afterwards each of its modules is in the mode it was in.

    Args:
        model: [N, C, H, W] -> [N, classes], on any device.
        batches: pictures [N, C, H, W] and labels [N].
    Raises: ValueError: there is no batch.

    Example:
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
        >>> pictures = torch.zeros(3, 1, 2, 2)
        >>> evaluate(model, [(pictures, model(pictures).argmax(1))]).accuracy
        1.0
    """
    device = next(model.parameters()).device
    logits, labels = [], []
    with in_mode(model, training=False), torch.inference_mode():
        for x, y in batches:
            logits.append(model(x.to(device, non_blocking=True)).float())
            labels.append(y)
    if not logits:
        raise ValueError("nothing to evaluate on: there is no batch")
    scores, truth = torch.cat(logits).cpu(), torch.cat(labels).cpu()
    return Evaluation(
        logits=scores.numpy(),
        labels=truth.numpy(),
        accuracy=(scores.argmax(1) == truth).double().mean().item(),
        loss=F.cross_entropy(scores, truth).item(),
    )


@contextmanager
def in_mode(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Put a model into train or eval mode inside the block, and each module back into its own mode after it."""
    modes = [(module, module.training) for module in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
