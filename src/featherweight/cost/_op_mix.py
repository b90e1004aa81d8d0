"""Sums of elementary operations."""

import operator
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class OpMix:
    """Elementary operations, told apart because hardware prices them apart.

    A subtraction or negation is an addition; a transcendental is one exponential, logarithm, root, sine, tanh or erf.
    Integer additions are those of integers, as which bit patterns of floats may be added too; the others are of values.

    Example:
        >>> OpMix(multiplies=2, additions=1) + OpMix(additions=1) * 3
        OpMix(multiplies=2, additions=4)
    """

    multiplies: int = 0
    additions: int = 0
    integer_additions: int = 0
    divisions: int = 0
    comparisons: int = 0
    transcendentals: int = 0
    absolutes: int = 0
    shifts: int = 0

    def __add__(self, other: "OpMix") -> "OpMix":
        return OpMix(*map(operator.add, self.counts, other.counts))

    def __mul__(self, times: int) -> "OpMix":
        return OpMix(*(count * times for count in self.counts))

    def __repr__(self) -> str:
        given = zip(_SORTS, self.counts, strict=True)
        return f"OpMix({', '.join(f'{name}={count}' for name, count in given if count)})"

    @property
    def counts(self) -> tuple[int, ...]:
        """The numbers in the order of the fields."""
        numbers: tuple[int, ...] = _counts(self)
        return numbers

    @property
    def total(self) -> int:
        """All operations together, each counted as one."""
        return sum(self.counts)


_SORTS = tuple(field.name for field in fields(OpMix))
_counts = operator.attrgetter(*_SORTS)
