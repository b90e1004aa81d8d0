"""What a shipped file must keep, and what it breaks."""

from collections.abc import Callable
from dataclasses import dataclass

from featherweight._units import format_bytes, format_percent, format_seconds


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Limits on every file; None is no limit.

    Args:
        bytes: of the file, or of all files of a folder.
        latency_seconds: median time of one picture.
        memory_bytes: by how much the memory of a process grows that loads the file and runs it.
        accuracy: least share of the test pictures told right, in 0..1.
        loss: most accuracy lost against the network in PyTorch, in 0..1.
        agreement: least share of the pictures on which the best class is the network's, in 0..1.
    Raises: ValueError: a size, time or memory that is not positive, or a share outside 0..1.

    Example:
        >>> from featherweight.ship import Shipped
        >>> shipped = Shipped(target="onnx", precision="int8", bytes=412_000, loss=0.001)
        >>> Bounds(bytes=300_000, loss=0.005).broken(shipped)
        {'bytes': '412 kB, at most 300 kB'}
    """

    bytes: int | None = None
    latency_seconds: float | None = None
    memory_bytes: int | None = None
    accuracy: float | None = None
    loss: float | None = None
    agreement: float | None = None

    def __post_init__(self) -> None:
        for name in ("bytes", "latency_seconds", "memory_bytes"):
            limit = getattr(self, name)
            if limit is not None and limit <= 0:
                raise ValueError(f"{name} must be above 0; got {limit}")
        for name in ("accuracy", "loss", "agreement"):
            limit = getattr(self, name)
            if limit is not None and not 0 <= limit <= 1:
                raise ValueError(f"{name} is a share in 0..1 (97 % is 0.97); got {limit}")

    def broken(self, figures: object) -> dict[str, str]:
        """Return the limits that an object's attributes of these names break, each with both figures in words.

        A figure that is None breaks none.
        """
        found = {}
        for name, (text, least) in _SHOWN.items():
            limit, figure = getattr(self, name), getattr(figures, name)
            if limit is None or figure is None:
                continue
            if figure < limit if least else figure > limit:
                found[name] = f"{text(figure)}, at {'least' if least else 'most'} {text(limit)}"
        return found


_SHOWN: dict[str, tuple[Callable[[float], str], bool]] = {
    "bytes": (format_bytes, False),
    "latency_seconds": (format_seconds, False),
    "memory_bytes": (format_bytes, False),
    "accuracy": (format_percent, True),
    "loss": (format_percent, False),
    "agreement": (format_percent, True),
}
