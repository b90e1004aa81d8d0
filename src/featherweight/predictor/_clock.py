"""What a clock on every operator adds is taken off, and each network's operators are made to add up to its time."""

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

import torch

ROUNDS = 30


class Measured(NamedTuple):
    """What a child process answers of a random network.

    Args:
        options: of `random_network`.
        operators: name -> seconds, with a clock on each.
        whole: seconds of a run without a clock in it.
        reference: seconds of the reference network beside it.
    """

    options: dict[str, int | bool]
    operators: dict[str, float]
    whole: float
    reference: float = 1.0


def at_usual_speed(measured: Sequence[Measured]) -> list[Measured]:
    """From times in units of the reference's to seconds: those of a machine on which that takes its median.

    Example:
        >>> there = [Measured({}, {"0 relu": 2.0}, 3.0, seconds) for seconds in (1e-3, 2e-3, 9e-3)]
        >>> at_usual_speed(there)[0].whole
        0.006
    """
    usual = median(one.reference for one in measured)
    return [
        one._replace(
            operators={name: found * usual for name, found in one.operators.items()},
            whole=one.whole * usual,
            reference=usual,
        )
        for one in measured
    ]


def corrected(measured: Sequence[Measured]) -> tuple[float, list[Measured]]:
    """Learn what the clock adds to each operator, and take it off.

    Whole runs are taken to be a sum: of what the clock showed, of a time for each operator that the clock added (then
    it is less than zero) or did not see (as Python's between the calls of eager PyTorch), and of a time for each run.
    Then a network's operators are scaled, so that they add up to what the network took without a clock. Networks whose
    time is mostly that of any run tell nothing of their operators, and are left out.

    Returns: seconds for each run; and the networks with their corrected operators.

    Example:
        >>> runs = [Measured({}, {f"{i}": 3e-6 * n + 2e-6 for i in range(n)}, 3e-6 * n * n) for n in range(1, 9)]
        >>> seconds, found = corrected(runs)
        >>> round(found[4].operators["0"] * 1e6, 3)
        15.0
    """
    sums = torch.tensor([[sum(one.operators.values()), len(one.operators), 1.0] for one in measured]).double()
    wholes = torch.tensor([[one.whole] for one in measured], dtype=torch.float64)
    rows = sums / wholes
    weights = torch.ones_like(wholes)
    for _ in range(ROUNDS):  # of least squares, weighted so that the absolute relative error becomes least
        found = torch.linalg.lstsq(rows * weights, weights).solution
        weights = (rows @ found - 1).abs().clamp_min(1e-3).rsqrt()
    slope, each, run = (float(value) for value in found[:, 0])
    run = max(0.0, run)
    return run, [_scaled(one, each / slope, run) for one in measured if one.whole > 2 * run]


def _scaled(one: Measured, each: float, run: float) -> Measured:
    seconds = {name: max(found + each, found / 5) for name, found in one.operators.items()}
    factor = (one.whole - run) / sum(seconds.values())
    return one._replace(operators={name: found * factor for name, found in seconds.items()})
