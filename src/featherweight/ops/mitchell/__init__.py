"""Multiplication by one integer addition: Mitchell's logarithms, which a float's bit pattern nearly is."""

from . import cpu as cpu
from . import cuda as cuda
from .conv2d import mitchell_conv2d
from .matmul import mitchell_linear, mitchell_matmul
from .multiply import mitchell_multiply

__all__ = ["mitchell_conv2d", "mitchell_linear", "mitchell_matmul", "mitchell_multiply"]
