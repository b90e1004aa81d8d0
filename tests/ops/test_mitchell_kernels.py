"""The kernels of products by integer addition against their reference, bit for bit: any shape, any number."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from featherweight.ops._native import native
from featherweight.ops.mitchell import conv2d, matmul, multiply, reference

pytestmark = pytest.mark.skipif(native is None, reason="featherweight._native is not installed: there are no kernels")

RULES = ("approximate", "exact")
ODD = torch.tensor(
    [0.0, -0.0, float("inf"), -float("inf"), float("nan"), 1e-40, -1e-39, 3e38, -3e38, 1.0, 2e-38, 1.5, 2.0**-126]
)
every_rule = pytest.mark.parametrize("backward", RULES)
kinds = st.sampled_from(["usual", "half zero", "any size", "anything"])
compensations = st.sampled_from([0.0, 0.058, 0.4])


def numbers(shape, kind):
    """Return what a network has; that behind a ReLU; all powers of ten; the last with all special numbers."""
    x = torch.randn(shape)
    if kind == "half zero":
        return x.relu_()
    if kind in ("any size", "anything"):
        x *= 10.0 ** torch.randint(-40, 39, shape)
    if kind == "anything":
        x = torch.where(torch.rand(shape) < 0.2, ODD[torch.randint(0, len(ODD), shape)], x)
    return x


def same(got, expected):
    """Whether all bits are; what is no number may be no number in another way, since sums choose among several."""
    assert got.shape == expected.shape
    equal = got.contiguous().view(torch.int32) == expected.contiguous().view(torch.int32)
    return bool((equal | (got.isnan() & expected.isnan())).all())


def examples(count):
    return settings(max_examples=count, deadline=None, derandomize=True, database=None)


class TestEachInstructionSet:
    """The reference is slower than all of the kernels together: it is asked once for all sets."""

    @every_rule
    def test_convolutions(self, geometries, each_set, backward):
        @examples(60)
        @given(geometries, st.tuples(kinds, kinds, kinds), compensations, st.integers(0, 2**32 - 1))
        def holds(geometry, kind, compensation, seed):
            torch.manual_seed(seed)
            x, weight = numbers(geometry.x, kind[0]), numbers(geometry.weight, kind[1])
            y = reference.conv2d(x, weight, *geometry.settings, compensation)
            arguments = numbers(y.shape, kind[2]), x, weight, *geometry.settings, backward, compensation
            dx = reference.conv2d_input_gradient(*arguments)
            dweight = reference.conv2d_weight_gradient(*arguments)
            for name in each_set():
                got = conv2d.forward(x, weight, None, *geometry.settings, backward, compensation)
                assert same(got, y), name
                assert same(conv2d.conv2d_input_gradient(*arguments), dx), name
                assert same(conv2d.conv2d_weight_gradient(*arguments), dweight), name

        holds()

    @every_rule
    def test_matrices(self, each_set, backward):
        sides = st.tuples(st.integers(0, 20), st.integers(1, 40), st.integers(0, 60))

        @examples(60)
        @given(sides, st.tuples(kinds, kinds, kinds), compensations, st.integers(0, 2**32 - 1))
        def holds(side, kind, compensation, seed):
            torch.manual_seed(seed)
            m, k, n = side
            a, b = numbers((2, 1, m, k), kind[0]), numbers((3, k, n), kind[1])
            c = reference.matmul(a, b, compensation)
            arguments = numbers(c.shape, kind[2]), a, b, backward, compensation
            gradient = reference.matmul_gradient(*arguments)
            for name in each_set():
                assert same(matmul.forward(a, b, backward, compensation), c), name
                assert same(matmul.matmul_gradient(*arguments), gradient), name

        holds()

    def test_numbers(self, each_set):
        torch.manual_seed(0)
        grad, a, b = numbers((37, 4, 500), "anything"), numbers((37, 1, 500), "anything"), numbers((4, 500), "anything")
        for compensation in (0.0, 0.058):
            c, approximate = reference.multiply(a, b, compensation), reference.multiply(grad, b, compensation)
            exact = reference.multiply(grad, reference.slope(a, b, compensation))
            for name in each_set():
                got = multiply.forward(a, b, "exact", compensation)
                assert torch.equal(got.view(torch.int32), c.view(torch.int32)), name
                assert same(multiply.multiply_gradient(grad, a, b, "approximate", compensation), approximate), name
                assert same(multiply.multiply_gradient(grad, a, b, "exact", compensation), exact), name

    def test_large_convolutions(self, each_set):
        """More terms than a panel has rows, and more columns than one has."""
        torch.manual_seed(0)
        x, weight = torch.randn(2, 70, 9, 21).relu_(), torch.randn(20, 70, 3, 3)
        geometry = [1, 1], [1, 1], [1, 1], 1
        y = reference.conv2d(x, weight, *geometry)
        for name in each_set():
            assert same(conv2d.forward(x, weight, None, *geometry, "approximate", 0.0), y), name
        for rule in RULES:
            arguments = torch.randn_like(y), x, weight, *geometry, rule, 0.0
            dx = reference.conv2d_input_gradient(*arguments)
            dweight = reference.conv2d_weight_gradient(*arguments)
            for name in each_set():
                assert same(conv2d.conv2d_input_gradient(*arguments), dx), name
                assert same(conv2d.conv2d_weight_gradient(*arguments), dweight), name

    def test_weights_that_are_zero(self, each_set):
        torch.manual_seed(0)
        x, weight = torch.randn(1, 8, 9, 21), torch.randn(9, 8, 3, 3)
        weight[torch.rand(weight.shape) < 0.7] = 0.0
        geometry = [1, 1], [1, 1], [1, 1], 1
        bias = torch.randn(9)
        y = reference.conv2d(x, weight, *geometry) + bias[:, None, None]
        for name in each_set():
            assert same(conv2d.forward(x, weight, bias, *geometry, "approximate", 0.0), y), name


def test_the_compiled_functions_hold_shapes_against_each_other():
    a, b, out = torch.zeros(1, 2, 3), torch.zeros(1, 3, 4), torch.zeros(1, 2, 4)
    with pytest.raises(ValueError, match="do not fit"):
        native.mitchell_matmul(a, b[:, :2].contiguous(), None, 0, False, out, 1)
    with pytest.raises(ValueError, match="the result is not"):
        native.mitchell_matmul(a, b, None, 0, True, out, 1)
    with pytest.raises(ValueError, match="one length"):
        native.mitchell_multiply(a.view(-1), b.view(-1), None, 0, out.view(-1), 1)
    x, weight, grad = torch.zeros(1, 2, 5, 5), torch.zeros(3, 2, 3, 3), torch.zeros(1, 3, 3, 3)
    geometry = [1, 1], [0, 0], [1, 1], 1
    with pytest.raises(ValueError, match="gradient of"):
        native.mitchell_weight_gradient(grad, x, weight, *geometry, False, 0, x.clone(), 1)
