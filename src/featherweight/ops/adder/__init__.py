"""The adder layer: a convolution's place is taken by the distance between filter and picture."""

from .op import adder2d

__all__ = ["adder2d"]
