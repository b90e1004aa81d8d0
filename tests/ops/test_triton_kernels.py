"""The kernels in Triton against the references, on the processor: in a Python of its own, Triton interprets them.

Triton reads TRITON_INTERPRET when it is imported, which another test may have done in this process.
"""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch

from featherweight.ops.adder import op
from featherweight.ops.adder import reference as adder
from featherweight.ops.mitchell import conv2d, matmul, multiply
from featherweight.ops.mitchell import reference as mitchell

HERE = os.environ.get("TRITON_INTERPRET") == "1"
pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
interpreted = pytest.mark.skipif(not HERE, reason="runs in the Python that test_all_of_this_file starts")

RULES = ("approximate", "exact")
# x, weight, stride, padding, dilation, groups
SHAPES = {
    "groups and all settings": ((2, 4, 6, 5), (6, 2, 3, 2), [2, 3], [1, 2], [1, 2], 2),
    "more filters than a tile": ((1, 2, 3, 4), (65, 2, 1, 1), [1, 1], [0, 0], [1, 1], 1),
    "more channels and pixels than a tile": ((1, 33, 9, 8), (2, 33, 1, 1), [1, 1], [0, 0], [1, 1], 1),
    "depthwise": ((1, 2, 5, 4), (2, 1, 3, 3), [1, 1], [1, 1], [1, 1], 2),
    "strides larger than kernel and picture": ((1, 2, 3, 4), (2, 2, 1, 2), [4, 3], [0, 1], [1, 1], 1),
    "no picture": ((0, 2, 5, 5), (3, 2, 3, 3), [1, 1], [1, 1], [1, 1], 1),
}
CONVOLUTIONS = [*((shape, "usual") for shape in SHAPES.values()), (SHAPES["groups and all settings"], "special")]
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
every_rule = pytest.mark.parametrize("rule", RULES)
every_kind = pytest.mark.parametrize("kind", ["usual", "special"])
ODD = torch.tensor(
    [0.0, -0.0, float("inf"), -float("inf"), float("nan"), 1e-40, -1e-39, 3e38, -3e38, 1.0, 2e-38, 1.5, 2.0**-126]
)


def test_all_of_this_file():
    if HERE:
        pytest.skip("this is the Python that it starts")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", __file__]
    done = subprocess.run(
        command, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def numbers(shape, kind="usual"):
    """Return what a network has, half of it zero; or all powers of ten with all special numbers."""
    x = torch.randn(shape).relu_()
    if kind == "special":
        x = torch.randn(shape) * 10.0 ** torch.randint(-40, 39, shape)
        x = torch.where(torch.rand(shape) < 0.1, ODD[torch.randint(0, len(ODD), shape)], x)
    return x


def same(got, expected):
    """Whether all bits are; what is no number may be no number in another way, since sums choose among several."""
    assert got.shape == expected.shape
    equal = got.contiguous().view(torch.int32) == expected.contiguous().view(torch.int32)
    return bool((equal | (got.isnan() & expected.isnan())).all())


def close(got, expected, rtol=1e-5):
    size = expected.abs().max().item() if expected.numel() else 0
    torch.testing.assert_close(got.double(), expected, rtol=rtol, atol=rtol * size)


@interpreted
class TestAdder:
    @every_shape
    @pytest.mark.parametrize("gradient", op.GRADIENTS)
    def test_any_shape(self, shape, gradient):
        from featherweight.ops.adder import triton

        x, weight, *settings = shape
        x, weight, bias = torch.randn(x), torch.randn(weight), torch.randn(weight[0])
        y = triton.adder2d(x, weight, bias, *settings, gradient)
        close(y, adder.adder2d(x.double(), weight.double(), *settings) + bias.double()[:, None, None])
        grad = torch.randn_like(y)
        dx = triton.input_gradient(grad, x, weight, *settings, gradient)
        close(dx, adder.input_gradient(grad.double(), x.double(), weight.double(), *settings, gradient))

    @pytest.mark.parametrize(("dtype", "rtol"), [(torch.bfloat16, 2.0**-8), (torch.float16, 2.0**-11)])
    def test_half_precision_is_summed_in_float32(self, dtype, rtol):
        from featherweight.ops.adder import triton

        x, weight = torch.randn(1, 40, 4, 4).to(dtype), torch.randn(3, 40, 3, 3).to(dtype)
        settings = [1, 1], [1, 1], [1, 1], 1
        y = triton.adder2d(x, weight, None, *settings, "paper")
        dx = triton.input_gradient(y, x, weight, *settings, "paper")
        assert y.dtype == dx.dtype == dtype
        close(y, adder.adder2d(x.double(), weight.double(), *settings), rtol)
        close(dx, adder.input_gradient(y.double(), x.double(), weight.double(), *settings, "paper"), rtol)

    def test_memory_in_any_order(self):
        from featherweight.ops.adder import triton

        x = torch.randn(2, 4, 5, 6).to(memory_format=torch.channels_last)
        weight, settings = torch.randn(3, 3, 4, 4).permute(2, 3, 0, 1), ([1, 1], [1, 1], [1, 1], 1)
        y = triton.adder2d(x, weight, None, *settings, "paper")
        close(y, adder.adder2d(x.double(), weight.double(), *settings))
        grad = torch.randn(y.shape[::-1]).permute(3, 2, 1, 0)
        dx = triton.input_gradient(grad, x, weight, *settings, "paper")
        close(dx, adder.input_gradient(grad.double(), x.double(), weight.double(), *settings, "paper"))

    @pytest.mark.parametrize("gradient", op.GRADIENTS)
    def test_what_is_no_number_stays_none(self, gradient):
        from featherweight.ops.adder import triton

        x, weight, settings = torch.randn(1, 2, 5, 5), torch.randn(3, 2, 3, 3), ([2, 2], [1, 1], [1, 1], 1)
        x[0, 1, 2, 2], x[0, 0, 4, 4], weight[1, 0, 2, 2] = float("nan"), float("inf"), float("nan")
        y = triton.adder2d(x, weight, None, *settings, gradient)
        torch.testing.assert_close(y, adder.adder2d(x, weight, *settings), equal_nan=True)
        grad = torch.randn_like(y)
        dx = triton.input_gradient(grad, x, weight, *settings, gradient)
        expected = adder.input_gradient(grad, x, weight, *settings, gradient)
        torch.testing.assert_close(dx, expected, equal_nan=True)


@interpreted
@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")  # numpy's, of sums of what is infinite
class TestMitchell:
    @pytest.mark.parametrize(("shape", "kind"), CONVOLUTIONS)
    @every_rule
    def test_convolutions(self, shape, rule, kind):
        from featherweight.ops.mitchell import triton

        x, weight, *settings = shape
        compensation = 0.058 if kind == "usual" else 0.0
        x, weight, bias = numbers(x, kind), numbers(weight, kind), torch.randn(weight[0])
        expected = mitchell.conv2d(x, weight, *settings, compensation)
        if rule == "approximate":
            y = triton.conv2d(x, weight, bias, *settings, rule, compensation)
            assert same(y, expected + bias[:, None, None])
        arguments = numbers(expected.shape, kind), x, weight, *settings, rule, compensation
        dx, dweight = triton.conv2d_input_gradient(*arguments), triton.conv2d_weight_gradient(*arguments)
        assert same(dx, mitchell.conv2d_input_gradient(*arguments))
        assert same(dweight, mitchell.conv2d_weight_gradient(*arguments))

    @every_rule
    @every_kind
    def test_matrices(self, rule, kind):
        from featherweight.ops.mitchell import triton

        for a, b in (
            ((2, 1, 5, 7), (3, 7, 18)),
            ((65, 2), (2, 5)),
            ((3, 2), (2, 70)),
            ((0, 3), (3, 4)),
            ((2, 0), (0, 4)),
        ):
            a, b = numbers(a, kind), numbers(b, kind).mT.contiguous().mT  # noqa: PLW2901
            c = triton.matmul(a, b, rule, 0.4)
            assert same(c, mitchell.matmul(a, b, 0.4))
            arguments = numbers(c.shape, kind), a, b, rule, 0.4
            assert same(triton.matmul_gradient(*arguments), mitchell.matmul_gradient(*arguments))

    def test_numbers(self):
        from featherweight.ops.mitchell import triton

        grad, a, b = numbers((37, 4, 50), "special"), numbers((37, 1, 50), "special"), numbers((4, 50), "special")
        for compensation in (0.0, 0.058):
            assert same(triton.multiply(a, b, "exact", compensation), mitchell.multiply(a, b, compensation))
            got = triton.multiply_gradient(grad, a, b, "approximate", compensation)
            assert same(got, mitchell.multiply(grad, b, compensation))
            got = triton.multiply_gradient(grad, a, b, "exact", compensation)
            assert same(got, mitchell.multiply(grad, mitchell.slope(a, b, compensation)))

    def test_pairs_of_special_numbers(self):
        from featherweight.ops.mitchell import triton

        got = triton.multiply(ODD[:, None], ODD, "approximate", 0.0)
        assert torch.equal(got.view(torch.int32), mitchell.multiply(ODD[:, None], ODD).view(torch.int32))

    @pytest.mark.parametrize(("size", "products"), [(1e-20, "subnormal"), (1e-18, "usual"), (1e19, "infinite")])
    def test_where_the_short_way_ends(self, size, products):
        """Sums of products on both sides of the ends of float32's range, and one of two programs writes them."""
        from featherweight.ops.mitchell import triton

        a, b = size * torch.rand(3, 4).add_(0.1), size * torch.randn(4, 20)
        expected = mitchell.matmul(a, b, 0.4)
        assert same(triton.matmul(a, b, "approximate", 0.4), expected), products

    def test_pictures_are_added_in_order_in_pieces(self, monkeypatch):
        from featherweight.ops.mitchell import triton

        monkeypatch.setattr(triton, "PIECE", 100)
        x, weight, settings = numbers((5, 2, 4, 4)), numbers((4, 2, 3, 3)), ([1, 1], [1, 1], [1, 1], 1)
        arguments = torch.randn(5, 4, 4, 4), x, weight, *settings, "approximate", 0.0
        assert same(triton.conv2d_weight_gradient(*arguments), mitchell.conv2d_weight_gradient(*arguments))


@pytest.mark.skipif(HERE, reason="runs in the Python that starts this one")
def test_gpus_have_kernels_and_importing_them_leaves_triton_alone():
    operators = [
        op.forward, op.input_gradient, op.weight_gradient, matmul.forward, matmul.matmul_gradient, multiply.forward,
        multiply.multiply_gradient, conv2d.forward, conv2d.conv2d_input_gradient, conv2d.conv2d_weight_gradient,
    ]  # fmt: skip
    for operator in operators:
        assert torch._C._dispatch_has_kernel_for_dispatch_key(operator.name, "CUDA"), operator.name
    code = "import sys, featherweight.ops; print('triton' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
