"""What the user asked for, in SI units, checked once."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from featherweight._units import parse_bytes, parse_percent, parse_seconds
from featherweight.search import Budget, chosen

from ._deadline import enough_seconds

Number = TypeVar("Number", int, float)

DIGITS = "digits"  # the built-in pictures where none are named
# The default limit, for the built-in pictures that have one: a budget that shows what a budget does.
LATENCY_SECONDS = {DIGITS: 0.3e-3}
RESCUE_SHARE = 0.5  # of the time, by default


class SettingsError(ValueError):
    """What was asked for cannot be read, or makes no sense; the message says which word."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A run's question: everything that decides what comes out, and nothing else.

    Args:
        data: the name of built-in pictures, or a folder of pictures.
        budget: limits on the file that ships.
        int8_loss: accuracy that the int8 file may lose against float and still ship, in 0..1.
        seconds: for the whole run.
        rescue_seconds: more of them, if the budget is missed, for what may help.
        networks: patterns of names or families to choose from.
        seed: of the split, the weights and the order of the pictures.
        threads: of the latency that is measured.
        flip: mirror training pictures; None decides by the kind of pictures.
    """

    data: str
    budget: Budget
    int8_loss: float
    seconds: float
    rescue_seconds: float
    networks: tuple[str, ...]
    seed: int
    threads: int
    flip: bool | None

    @classmethod
    def parse(
        cls,
        *,
        data: str,
        max_latency: str | float | None,
        max_size: str | float | None,
        max_memory: str | float | None,
        min_accuracy: str | float | None,
        max_int8_loss: str | float,
        time: str | float,
        rescue: str | float | None,
        networks: str | Sequence[str],
        seed: int,
        threads: int,
        flip: bool | None,
    ) -> "Settings":
        """Read quantities with their units, as `fit` takes them.

        Raises: SettingsError: a quantity that cannot be read, or one that makes no sense; the message says which.
        """
        if threads < 1:
            raise SettingsError(f"threads must be 1 or more; got {threads}")
        if seed < 0:
            raise SettingsError(f"seed must be 0 or more; got {seed}")
        names = [networks] if isinstance(networks, str) else list(networks)
        patterns = tuple(part.strip() for name in names for part in name.split(",") if part.strip())
        if not patterns:
            raise SettingsError(f"networks names none; got {networks!r}")
        try:
            chosen(patterns)
            seconds = enough_seconds(parse_seconds(time))
            return cls(
                data=data,
                budget=Budget(
                    latency_seconds=_latency(max_latency, data),
                    size_bytes=_limit(max_size, parse_bytes),
                    memory_bytes=_limit(max_memory, parse_bytes),
                    accuracy=_limit(min_accuracy, parse_percent),
                ),
                int8_loss=parse_percent(max_int8_loss),
                seconds=seconds,
                rescue_seconds=RESCUE_SHARE * seconds if rescue == "auto" else _limit(rescue, parse_seconds) or 0.0,
                networks=patterns,
                seed=seed,
                threads=threads,
                flip=flip,
            )
        except ValueError as error:
            raise SettingsError(str(error)) from error

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Settings":
        """Take the settings from what `to_dict` gave."""
        budget, networks = Budget(**values["budget"]), tuple(values["networks"])
        return cls(**{"rescue_seconds": 0.0, **values, "budget": budget, "networks": networks})

    def to_dict(self) -> dict[str, object]:
        """Return the settings as plain data, for recipe.json and for comparing runs."""
        return {**asdict(self), "networks": list(self.networks)}

    def differences(self, other: dict[str, object]) -> list[str]:
        """Say in words where another run's settings differ from these."""
        mine = self.to_dict()
        return [
            f"{name}: {other.get(name)!r} there, {mine[name]!r} now" for name in mine if mine[name] != other.get(name)
        ]


def _latency(limit: str | float | None, data: str) -> float | None:
    if limit == "auto":
        return LATENCY_SECONDS.get(data)
    return _limit(limit, parse_seconds)


def _limit(limit: str | float | None, parse: Callable[[str | float], Number]) -> Number | None:
    return None if limit is None or limit == "none" else parse(limit)
