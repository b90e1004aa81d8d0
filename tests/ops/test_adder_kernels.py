"""The adder layer's kernels against its reference: any shape, every instruction set, any memory, any number."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from featherweight.ops import adder2d
from featherweight.ops._native import native
from featherweight.ops.adder import op, reference

pytestmark = pytest.mark.skipif(native is None, reason="featherweight._native is not installed: there are no kernels")

# x, weight, stride, padding, dilation, groups: what random shapes are too small for
LARGE = [
    ((2, 70, 9, 9), (20, 70, 3, 3), [1, 1], [1, 1], [1, 1], 1),  # more terms than a panel has rows
    ((1, 3, 40, 70), (8, 3, 3, 3), [1, 1], [1, 1], [1, 1], 1),
    ((2, 96, 12, 12), (96, 1, 5, 5), [2, 2], [2, 2], [1, 1], 96),  # depthwise
    ((2, 640, 7, 7), (17, 640, 1, 1), [1, 1], [0, 0], [1, 1], 1),
    ((3, 20, 15, 15), (50, 20, 1, 1), [2, 2], [0, 0], [1, 1], 1),
]


def check(x, weight, configuration, gradient, seed=0):
    """Output and both gradients, against the reference in float64."""
    torch.manual_seed(seed)
    stride, padding, dilation, groups = configuration
    bias = torch.randn(len(weight))
    y = op.forward(x, weight, bias, stride, padding, dilation, groups, gradient)
    wides = x.double(), weight.double()
    expected = reference.adder2d(*wides, stride, padding, dilation, groups) + bias.double()[:, None, None]
    torch.testing.assert_close(
        y.double(), expected, rtol=3e-5, atol=3e-6 * expected.abs().max().item() if y.numel() else 0
    )
    grad = torch.randn_like(y)
    for kernel, definition in (
        (op.input_gradient, reference.input_gradient),
        (op.weight_gradient, reference.weight_gradient),
    ):
        got = kernel(grad, x, weight, stride, padding, dilation, groups, gradient)
        wanted = definition(grad.double(), *wides, stride, padding, dilation, groups, gradient)
        close(got, wanted)


def close(got, expected):
    """Equal but for the rounding of a sum, which is that of its largest terms."""
    size = expected.abs().max().item() if expected.numel() else 0
    torch.testing.assert_close(got.double(), expected, rtol=3e-5, atol=3e-6 * size)


@pytest.mark.usefixtures("instruction_set")
class TestEachInstructionSet:
    @pytest.mark.parametrize("gradient", ["paper", "sign"])
    def test_any_shape(self, geometries, gradient):
        @settings(max_examples=40, deadline=None, derandomize=True, database=None)
        @given(geometry=geometries, seed=st.integers(0, 2**32 - 1))
        def holds(geometry, seed):
            torch.manual_seed(seed)
            check(torch.randn(geometry.x), torch.randn(geometry.weight), geometry.settings, gradient, seed)

        holds()

    @pytest.mark.parametrize(("x", "weight", "stride", "padding", "dilation", "groups"), LARGE)
    def test_large_shapes(self, *, x, weight, stride, padding, dilation, groups):
        check(torch.randn(x), torch.randn(weight), (stride, padding, dilation, groups), "paper")

    def test_every_element_is_written(self, monkeypatch):
        """Outputs that begin as NaN end as numbers."""
        monkeypatch.setattr("featherweight.ops.adder.cpu.empty", lambda shape: torch.full(shape, float("nan")))
        x, weight = torch.randn(3, 5, 11, 13), torch.randn(7, 5, 3, 3)
        y = op.forward(x, weight, None, [2, 3], [1, 2], [1, 1], 1, "paper")
        dx = op.input_gradient(torch.ones_like(y), x, weight, [2, 3], [1, 2], [1, 1], 1, "paper")
        assert y.isfinite().all()
        assert dx.isfinite().all()

    def test_digits_are_not_lost_where_filter_and_picture_are_large_and_near(self):
        """Sums of max(x, f) alone would be wrong by a third of this result."""
        x = 1000 + torch.rand(2, 16, 8, 8)
        weight = 1000 + torch.rand(9, 16, 3, 3)
        y = adder2d(x, weight)
        expected = reference.adder2d(x.double(), weight.double(), [1, 1], [0, 0], [1, 1], 1)
        torch.testing.assert_close(y.double(), expected, rtol=1e-6, atol=0)
        signs = torch.tensor([1.0, -1.0])[torch.arange(16) % 2, None, None]
        y = adder2d(signs * x, signs * weight)  # the sums of all terms are near zero, those of max(x, f) are not
        torch.testing.assert_close(y.double(), expected, rtol=1e-6, atol=0)
        same = weight[:1, :, :3, :3].clone()
        assert adder2d(same, weight[:1]).item() == 0.0

    def test_what_is_no_number_stays_none(self):
        x, weight = torch.randn(1, 4, 6, 40), torch.randn(3, 4, 3, 3)
        for place, value in (((0, 1, 2, 20), float("nan")), ((0, 3, 5, 39), float("inf"))):
            x[place] = value
        y = adder2d(x, weight, padding=1)
        expected = reference.adder2d(x, weight, [1, 1], [1, 1], [1, 1], 1)
        torch.testing.assert_close(y, expected, equal_nan=True, rtol=1e-5, atol=1e-4)
        assert y.isnan().any()
        assert (y == -float("inf")).any()
        grad = torch.randn_like(y)
        dx = op.input_gradient(grad, x, weight, [1, 1], [1, 1], [1, 1], 1, "paper")
        expected = reference.input_gradient(grad, x, weight, [1, 1], [1, 1], [1, 1], 1, "paper")
        torch.testing.assert_close(dx, expected, equal_nan=True)

    def test_threads_do_not_matter(self):
        x, weight = torch.randn(2, 70, 9, 9), torch.randn(33, 70, 3, 3)
        results = []
        for threads in (1, 2, 5):
            before = torch.get_num_threads()
            torch.set_num_threads(threads)
            y = adder2d(x, weight, padding=1)
            results.append((y, op.input_gradient(y, x, weight, [1, 1], [1, 1], [1, 1], 1, "paper")))
            torch.set_num_threads(before)
        for y, dx in results[1:]:
            assert torch.equal(y, results[0][0])
            assert torch.equal(dx, results[0][1])


def test_an_unknown_instruction_set_is_refused(monkeypatch):
    monkeypatch.setenv("FEATHERWEIGHT_ISA", "mmx")
    with pytest.raises(ValueError, match=r'FEATHERWEIGHT_ISA is "mmx"; this processor runs .*plain'):
        adder2d(torch.zeros(1, 1, 3, 3), torch.zeros(1, 1, 3, 3))


def test_the_compiled_functions_hold_shapes_against_each_other():
    """Nothing is read or written outside of what came, whatever comes."""
    x, weight = torch.zeros(1, 2, 5, 5), torch.zeros(3, 2, 3, 3)
    geometry = [1, 1], [0, 0], [1, 1], 1
    with pytest.raises(ValueError, match=r"y is not \[N, O, H', W'\]"):
        native.adder2d(x, weight, None, *geometry, torch.zeros(1, 3, 4, 3), 1)
    with pytest.raises(ValueError, match="do not fit"):
        native.adder2d(x, weight[:, :1].contiguous(), None, *geometry, torch.zeros(1, 3, 3, 3), 1)
    with pytest.raises(ValueError, match="bias"):
        native.adder2d(x, weight, torch.zeros(2), *geometry, torch.zeros(1, 3, 3, 3), 1)
    with pytest.raises(ValueError, match="larger than x"):
        native.adder2d(x, torch.zeros(3, 2, 7, 7), None, *geometry, torch.zeros(1, 3, 3, 3), 1)
    with pytest.raises(TypeError):  # a copy of the output would be written to and lost
        native.adder2d(x, weight, None, *geometry, torch.zeros(1, 3, 3, 3, dtype=torch.float64), 1)
