"""What the user allows: the limits, and which of them a candidate breaks."""

from collections.abc import Callable
from dataclasses import dataclass

from featherweight._units import format_bytes, format_percent, format_seconds


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Limits on the file that ships; None is no limit.

    Args:
        latency_seconds: median time of one picture on this machine.
        size_bytes: of the model file on disk.
        memory_bytes: largest sum of activations alive at once, as int8.
        accuracy: least share of the test pictures told right, in 0..1.
    Raises: ValueError: a limit that is not positive, or an accuracy outside 0..1.

    Example:
        >>> Budget(size_bytes=300_000, accuracy=0.97).texts()
        {'size': '300 kB', 'accuracy': '97 %'}
    """

    latency_seconds: float | None = None
    size_bytes: int | None = None
    memory_bytes: int | None = None
    accuracy: float | None = None

    def __post_init__(self) -> None:
        for name in ("latency_seconds", "size_bytes", "memory_bytes"):
            limit = getattr(self, name)
            if limit is not None and limit <= 0:
                raise ValueError(f"{name} must be above 0; got {limit}")
        if self.accuracy is not None and not 0 <= self.accuracy <= 1:
            raise ValueError(f"accuracy is a share in 0..1 (97 % is 0.97); got {self.accuracy}")

    def texts(self) -> dict[str, str]:
        """Return the limits that there are, for people to read."""
        shown: dict[str, tuple[float | None, Callable[[float], str]]] = {
            "latency": (self.latency_seconds, format_seconds),
            "size": (self.size_bytes, format_bytes),
            "memory": (self.memory_bytes, format_bytes),
            "accuracy": (self.accuracy, format_percent),
        }
        return {name: text(limit) for name, (limit, text) in shown.items() if limit is not None}

    def excess(
        self,
        *,
        latency_seconds: float | None = None,
        size_bytes: float | None = None,
        memory_bytes: float | None = None,
    ) -> dict[str, float]:
        """Return, for each limit that these figures break, how many times too large they are.

        Example:
            >>> Budget(size_bytes=300_000, memory_bytes=64_000).excess(size_bytes=450_000, memory_bytes=9_000)
            {'size': 1.5}
        """
        pairs = {
            "latency": (latency_seconds, self.latency_seconds),
            "size": (size_bytes, self.size_bytes),
            "memory": (memory_bytes, self.memory_bytes),
        }
        return {
            name: figure / limit
            for name, (figure, limit) in pairs.items()
            if figure is not None and limit is not None and figure > limit
        }
