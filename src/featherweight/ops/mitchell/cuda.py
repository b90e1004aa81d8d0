"""Products by integer addition on GPUs, registered with PyTorch's dispatcher; the first call of one imports Triton.

Without Triton, the references run.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from torch import Tensor

from . import conv2d, matmul, multiply

KERNELS = {
    "conv2d": conv2d.forward,
    "conv2d_input_gradient": conv2d.conv2d_input_gradient,
    "conv2d_weight_gradient": conv2d.conv2d_weight_gradient,
    "matmul": matmul.forward,
    "matmul_gradient": matmul.matmul_gradient,
    "multiply": multiply.forward,
    "multiply_gradient": multiply.multiply_gradient,
}


def _late(name: str) -> Callable[..., Tensor]:
    def kernel(*arguments: Any) -> Tensor:
        result: Tensor = getattr(import_module(".triton", __package__), name)(*arguments)
        return result

    return kernel


if find_spec("triton") is not None:
    for name, operator in KERNELS.items():
        operator.kernel("cuda", "Triton")(_late(name))
