"""The adder layer: a convolution's place is taken by the distance between filter and picture."""

from . import cpu as cpu
from .op import adder2d

__all__ = ["adder2d"]
