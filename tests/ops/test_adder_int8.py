"""The adder layer on bytes: against its terms one by one, instruction sets against the reference, wrong arguments."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from featherweight.ops import adder2d, adder2d_int8
from featherweight.ops._native import native
from featherweight.ops.adder import int8, reference

# x, weight, stride, padding, dilation, groups: what random shapes are too small for
LARGE = [
    ((2, 70, 9, 33), (20, 70, 3, 3), [1, 1], [1, 1], [1, 1], 1),  # more steps than 16 bits hold
    ((1, 3, 40, 70), (8, 3, 3, 3), [1, 1], [1, 1], [1, 1], 1),
    ((2, 96, 12, 12), (96, 1, 5, 5), [2, 2], [2, 2], [1, 1], 96),  # depthwise
    ((2, 640, 7, 7), (17, 640, 1, 1), [1, 1], [0, 0], [1, 1], 1),
    ((3, 20, 15, 15), (50, 20, 1, 1), [2, 2], [0, 0], [1, 1], 1),
]


def numbers(shape):
    return torch.randint(0, 256, shape, dtype=torch.uint8)


def arguments(x, weight, configuration, with_shortcut):
    """Bytes, and scales that spread the sums over more than the bytes there are."""
    terms = weight[1] * weight[2] * weight[3]
    like = torch.nn.functional.conv2d(torch.zeros(x), torch.zeros(weight), None, *configuration)
    scale = -torch.rand(weight[0]) * 3 / terms
    shift = 128 - scale * terms * 85 + torch.randn(weight[0])
    zero = int(torch.randint(0, 256, ()))
    shortcut = numbers(like.shape) if with_shortcut else None
    return numbers(x), numbers(weight), scale, shift, zero, shortcut, float(torch.rand(())), *configuration


def test_it_is_the_adder_layer_of_the_numbers_that_the_bytes_stand_for():
    unit, zero = 0.05, 100
    x, weight = numbers((2, 5, 9, 8)), numbers((4, 5, 3, 3))
    real = [(one.double() - zero) * unit for one in (x, weight)]
    y = adder2d(*real, padding=1)
    wanted = (y * 0.3 + 200).round().clamp(0, 255)
    got = adder2d_int8(x, weight, torch.full((4,), -unit * 0.3), torch.full((4,), 200.0), zero=zero, padding=1)
    assert (got.double() - wanted).abs().max() <= 1  # a tie may fall on either side
    assert (got.double() != wanted).double().mean() < 0.01


@pytest.mark.skipif(native is None, reason="featherweight._native is not installed: there are no kernels")
@pytest.mark.usefixtures("instruction_set")
class TestEachInstructionSet:
    def test_any_shape(self, geometries):
        @settings(max_examples=80, deadline=None, derandomize=True, database=None)
        @given(geometries, st.booleans(), st.integers(0, 2**32 - 1))
        def holds(geometry, with_shortcut, seed):
            torch.manual_seed(seed)
            given = arguments(geometry.x, geometry.weight, geometry.settings, with_shortcut)
            assert torch.equal(int8.forward(*given), reference.adder2d_int8(*given))

        holds()

    @pytest.mark.parametrize(("x", "weight", "stride", "padding", "dilation", "groups"), LARGE)
    def test_large_shapes(self, *, x, weight, stride, padding, dilation, groups):
        torch.manual_seed(0)
        given = arguments(x, weight, (stride, padding, dilation, groups), True)
        assert torch.equal(int8.forward(*given), reference.adder2d_int8(*given))

    def test_the_largest_sums(self):
        """All differences are 255, and there are many: no sum runs over."""
        x, weight = torch.full((1, 512, 4, 9), 255, dtype=torch.uint8), torch.zeros(9, 512, 3, 3, dtype=torch.uint8)
        scale = torch.full((9,), 200 / (512 * 9 * 255))
        y = adder2d_int8(x, weight, scale, torch.zeros(9))
        assert (y == 200).all()

    def test_memory_formats_and_threads_do_not_matter(self):
        torch.manual_seed(0)
        given = arguments((3, 20, 15, 15), (50, 20, 3, 3), ([1, 1], [1, 1], [1, 1], 1), True)
        y = int8.forward(*given)
        last = [one.contiguous(memory_format=torch.channels_last) for one in given[:2]]
        assert torch.equal(int8.forward(*last, *given[2:]), y)
        before = torch.get_num_threads()
        torch.set_num_threads(5)
        assert torch.equal(int8.forward(*given), y)
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"x": torch.zeros(1, 2, 5, 5)}, TypeError, "as uint8; got torch.float32"),
        ({"scale": torch.zeros(3, dtype=torch.float64)}, TypeError, "as float32; got torch.float64"),
        ({"scale": torch.full((3,), float("nan"))}, ValueError, "must be finite"),
        ({"shortcut_scale": float("inf")}, ValueError, "must be finite"),
        ({"shortcut_scale": 1e39}, ValueError, "must be finite in float32"),
        ({"shift": torch.zeros(2)}, ValueError, r"one for each output channel; got \[3\] and \[2\]"),
        (
            {"shortcut": numbers((1, 3, 4, 4))},
            ValueError,
            r"as large as the output, \[1, 3, 3, 3\]; got \[1, 3, 4, 4\]",
        ),
        ({"zero": 256}, ValueError, "must be 0 to 255; got 256"),
        ({"weight": numbers((3, 1, 3, 3))}, ValueError, "x has 2 channels"),
        ({"weight": numbers((3, 2, 7, 7))}, RuntimeError, "reaches over 7 x 7"),
    ],
)
def test_wrong_arguments_are_refused(changed, error, message):
    given = {
        "x": numbers((1, 2, 5, 5)),
        "weight": numbers((3, 2, 3, 3)),
        "scale": torch.ones(3),
        "shift": torch.ones(3),
    }
    with pytest.raises(error, match=message):
        adder2d_int8(**given | changed)


def test_pytorchs_own_checks_of_an_operator():
    given = arguments((1, 4, 7, 6), (6, 2, 3, 3), ([2, 2], [1, 1], [1, 1], 2), True)
    torch.library.opcheck(torch.ops.featherweight.adder2d_int8.default, given)
