"""What the trainer is fed from: batches that are a function of the step."""

from collections.abc import Callable, Iterator
from typing import Protocol

from torch import Tensor


class Batches(Protocol):
    """Training batches, counted by step through all epochs, as `featherweight.data.Batches` makes them."""

    def __len__(self) -> int:
        """Steps in an epoch."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Go from the position to the end of its epoch: pictures [N, C, H, W] and labels [N]."""

    def set_position(self, step: int) -> None:
        """Make this step, counted from 0 through all epochs, the next one."""

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Give the batch of a step; asked again, it is the same."""


class SizedBatches(Protocol):
    """Batches to look at the network with."""

    def __len__(self) -> int:
        """Count the batches."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Go through all: pictures [N, C, H, W] and labels [N]."""


class Stream:
    """The batches from a run's current step to the end of its epoch, each time they are gone through.

    Args:
        batches: of an epoch.
        position: says which step comes next.
    """

    def __init__(self, batches: Batches, position: Callable[[], int]) -> None:
        self.batches = batches
        self.position = position

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        self.batches.set_position(self.position())
        return iter(self.batches)

    def state_dict(self) -> dict[str, int]:
        """Return nothing: the position is the run's own step. That there is this method tells Lightning so."""
        return {}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Do nothing, likewise."""
