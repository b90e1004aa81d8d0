"""Energy of the arithmetic: each elementary operation at the price of its sort and of the type of its values."""

from collections.abc import Mapping
from types import MappingProxyType

from ._op_mix import OpMix

PROCESS = "45 nm"

# fmt: off
_PICOJOULES = {
    "float32": {"multiplies": 3.7, "additions": 0.9,  "integer_additions": 0.1,  "comparisons": 0.9,  "absolutes": 0.0},
    "float16": {"multiplies": 1.1, "additions": 0.4,  "integer_additions": 0.1,  "comparisons": 0.4,  "absolutes": 0.0},
    "int8":    {"multiplies": 0.2, "additions": 0.03, "integer_additions": 0.03, "comparisons": 0.03, "absolutes": 0.0},
}
# fmt: on

ENERGY: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {name: MappingProxyType({sort: price * 1e-12 for sort, price in row.items()}) for name, row in _PICOJOULES.items()}
)
"""Joules of one operation in 45 nm at 0.9 V: type of the values -> sort of `OpMix` -> price.

Multiplies and additions are those of floats, or of 8-bit integers; integer additions have as many bits as the values,
but those of 16 bits are not printed and have the price of 32. A comparison has the price of an addition: it is the sign
of a difference. An absolute value is free: it clears a sign bit.

Source: Horowitz 2014, "Computing's energy problem (and what we can do about it)", ISSCC, 10-14.
"""


def energy_of(mix: OpMix) -> dict[str, float]:
    """Price a sum of operations, in joules, for each type of value.

    Every operation is one of the values' own width, sums too: those of 8-bit products are often kept in 32 bits, where
    an addition costs 0.1 pJ and not 0.03. Left out is what the table has no price for: divisions, transcendentals and
    shifts; and all that is not arithmetic: memory, wires, control.

    Source: `ENERGY`.

    Example:
        >>> {name: f"{joules * 1e12:.2f} pJ" for name, joules in energy_of(OpMix(multiplies=1, additions=1)).items()}
        {'float32': '4.60 pJ', 'float16': '1.50 pJ', 'int8': '0.23 pJ'}
    """
    return {name: sum(price * getattr(mix, sort) for sort, price in row.items()) for name, row in ENERGY.items()}
