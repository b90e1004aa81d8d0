"""Functions on tensors that PyTorch lacks: convolutions and matrix products that do not multiply.

Each is one operator of PyTorch's dispatcher with gradients, and one node in `torch.export`. What it computes is defined
by its `reference.py`, in plain PyTorch, which also runs where no kernel is registered.
"""

from .adder import adder2d, adder2d_int8, adder2d_p
from .mitchell import mitchell_conv2d, mitchell_linear, mitchell_matmul, mitchell_multiply

__all__ = [
    "adder2d",
    "adder2d_int8",
    "adder2d_p",
    "mitchell_conv2d",
    "mitchell_linear",
    "mitchell_matmul",
    "mitchell_multiply",
]
