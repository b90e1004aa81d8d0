"""Averaged weights, and batch norm statistics that fit them."""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn, update_bn


def averaging_decay(decay: float, step: int) -> float:
    """Return the decay at a step: low at first, so that the random start is forgotten, then `decay`.

    Example:
        >>> averaging_decay(0.98, 0), averaging_decay(0.98, 90), averaging_decay(0.98, 10_000)
        (0.1, 0.91, 0.98)
    """
    return min(decay, (1 + step) / (10 + step))


class WeightAverage(nn.Module):
    """A second copy of a network, whose parameters follow the trained one's as an exponential average.

    The average's batch norm statistics are nobody's average: they are measured anew (`calibrate`) before the copy is
    used, because statistics gathered under one set of weights are wrong under another.

    Args:
        model: the network that is trained.
        decay: share of the average that a step keeps.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__()
        self.model = copy.deepcopy(model)
        self.decay = decay
        self._pairs = tuple(self.model.parameters()), tuple(model.parameters())

    def update(self, step: int) -> None:
        """Take in the weights after step number `step`, counted from 0."""
        average = get_ema_multi_avg_fn(averaging_decay(self.decay, step))  # type: ignore[no-untyped-call]
        average(*self._pairs, 0)

    def calibrate(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Measure the batch norm statistics anew on these training pictures."""
        with torch.no_grad():
            update_bn(batches, self.model, device=next(self.model.parameters()).device)
