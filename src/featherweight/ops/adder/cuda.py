"""The adder layer's kernels for GPUs, registered with PyTorch's dispatcher; the first call of one imports Triton.

Without Triton, the references run.
"""

from importlib.util import find_spec
from typing import Any

from torch import Tensor

from . import op
from .cpu import weight_gradient


def _adder2d(*arguments: Any) -> Tensor:
    from . import triton

    return triton.adder2d(*arguments)


def _input_gradient(*arguments: Any) -> Tensor:
    from . import triton

    return triton.input_gradient(*arguments)


op.weight_gradient.kernel("cuda", "PyTorch's convolution")(weight_gradient)
if find_spec("triton") is not None:
    op.forward.kernel("cuda", "Triton")(_adder2d)
    op.input_gradient.kernel("cuda", "Triton")(_input_gradient)
