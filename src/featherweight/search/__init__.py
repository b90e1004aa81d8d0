"""Which network: candidates by counted cost, and the competition that chooses among them."""

from ._budget import Budget
from ._candidates import (
    AUTO,
    SMALL_INPUT_UP_TO,
    Candidate,
    candidates,
    chosen,
    int8_file_bytes,
    nearest,
    resolutions_for,
    shortlist,
)
from ._halving import LEAST_SECONDS, Rung, Score, Standing, rungs, successive_halving

__all__ = [
    "AUTO",
    "LEAST_SECONDS",
    "SMALL_INPUT_UP_TO",
    "Budget",
    "Candidate",
    "Rung",
    "Score",
    "Standing",
    "candidates",
    "chosen",
    "int8_file_bytes",
    "nearest",
    "resolutions_for",
    "rungs",
    "shortlist",
    "successive_halving",
]
