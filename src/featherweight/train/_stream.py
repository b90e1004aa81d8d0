"""What the trainer is fed from: batches that are a function of the step."""

from collections.abc import Callable, Iterator

from torch import Tensor

from featherweight.data import Batches


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
