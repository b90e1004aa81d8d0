"""The adder layer against its definition term by term, against finite differences, and against itself by other ways."""

import warnings

import numpy as np
import pytest
import torch

from featherweight.ops import adder2d
from featherweight.ops.adder import reference

# x, weight, stride, padding, dilation, groups
SHAPES = [
    ((2, 3, 6, 5), (4, 3, 3, 3), 1, 1, 1, 1),
    ((1, 4, 7, 7), (6, 2, 3, 3), 2, 1, 1, 2),
    ((2, 4, 6, 6), (4, 1, 3, 3), 1, (1, 0), (1, 2), 4),
    ((3, 5, 4, 4), (2, 5, 1, 1), (2, 1), 0, 1, 1),
    ((1, 2, 9, 8), (4, 2, 5, 3), (1, 3), (2, 1), (1, 2), 1),
    ((0, 2, 5, 5), (3, 2, 3, 3), 1, 1, 1, 1),
]
every_shape = pytest.mark.parametrize(("x", "weight", "stride", "padding", "dilation", "groups"), SHAPES)


@pytest.fixture
def tensors(x, weight):
    return torch.randn(x, dtype=torch.float64), torch.randn(weight, dtype=torch.float64)


def pairs(*values):
    return [(value, value) if isinstance(value, int) else value for value in values]


def patches(x, weight, stride, padding, dilation):
    """Return [N, C, kh*kw, H'*W'] by PyTorch's own unfolding."""
    columns = torch.nn.functional.unfold(x, weight.shape[2:], dilation, padding, stride)
    return columns.unflatten(1, (x.shape[1], -1))


@every_shape
def test_every_output_is_the_sum_of_its_terms(tensors, stride, padding, dilation, groups):
    x, weight = tensors
    y = adder2d(x, weight, stride=stride, padding=padding, dilation=dilation, groups=groups)
    like = torch.nn.functional.conv2d(x, weight, None, stride, padding, dilation, groups)
    assert (y.shape, y.is_contiguous()) == (like.shape, True)
    columns = patches(x, weight, *pairs(stride, padding, dilation))
    for n, o in ((n, o) for n in range(y.shape[0]) for o in range(y.shape[1])):
        group = o // (weight.shape[0] // groups)
        own = columns[n, group * weight.shape[1] : (group + 1) * weight.shape[1]]
        expected = -(own - weight[o].flatten(1)[..., None]).abs().sum((0, 1))
        torch.testing.assert_close(y[n, o].flatten(), expected)


@every_shape
def test_sign_gradients_are_those_of_finite_differences(tensors, stride, padding, dilation, groups):
    x, weight = (tensor.requires_grad_() for tensor in tensors)
    bias = torch.randn(len(weight), dtype=torch.float64, requires_grad=True)

    def layer(*inputs):
        return adder2d(*inputs, stride=stride, padding=padding, dilation=dilation, groups=groups, gradient="sign")

    assert torch.autograd.gradcheck(layer, (x, weight, bias), fast_mode=True)


@pytest.mark.parametrize("gradient", ["paper", "sign"])
@every_shape
def test_gradients_are_the_papers_equations(*, tensors, stride, padding, dilation, groups, gradient):
    """Autograd through unfold and repeat, with the layer's slopes in the place of the true ones."""
    x, weight = (tensor.requires_grad_() for tensor in tensors)
    geometry = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    y = adder2d(x, weight, gradient=gradient, **geometry)
    grad = torch.randn_like(y)
    got = torch.autograd.grad(y, (x, weight), grad)

    columns = patches(x, weight, *pairs(stride, padding, dilation)).unflatten(1, (groups, -1)).unsqueeze(2)
    filters = weight.flatten(2).unflatten(0, (groups, -1))[None, ..., None]
    difference = (columns - filters).detach()
    slopes = {"paper": (-difference.clamp(-1, 1), difference), "sign": (-difference.sign(), difference.sign())}
    by_input, by_filter = slopes[gradient]
    terms = columns * by_input + filters * by_filter  # its derivatives are these slopes
    expected = torch.autograd.grad(terms.sum((3, 4)).flatten(1, 2).view_as(y), (x, weight), grad)
    torch.testing.assert_close(got, expected)


def test_padding_counts():
    y = adder2d(torch.zeros(1, 1, 1, 1), torch.full((1, 1, 3, 3), 2.0), padding=1)
    assert y.item() == -18.0


def test_pieces_do_not_matter(monkeypatch):
    x, weight = torch.randn(2, 4, 6, 6, requires_grad=True), torch.randn(6, 2, 3, 3, requires_grad=True)

    def everything():
        y = adder2d(x, weight, padding=1, groups=2)
        return y, *torch.autograd.grad(y, (x, weight), torch.ones_like(y))

    whole = everything()
    monkeypatch.setattr(reference, "PIECE", 1)
    torch.testing.assert_close(everything(), whole)


def test_memory_formats_and_slices_give_the_same():
    x, weight = torch.randn(2, 4, 6, 6), torch.randn(3, 4, 3, 3)
    y = adder2d(x, weight, padding=1)
    last = {"memory_format": torch.channels_last}
    assert torch.equal(adder2d(x.contiguous(**last), weight.contiguous(**last), padding=1), y)
    spread = torch.randn(2, 8, 6, 12)[:, ::2, :, ::2].copy_(x)
    assert torch.equal(adder2d(spread, weight, padding=1), y)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_summed_in_float32(dtype):
    x, weight = torch.randn(1, 64, 5, 5).to(dtype), torch.randn(3, 64, 3, 3).to(dtype)
    y = adder2d(x, weight)
    assert y.dtype == dtype
    assert torch.equal(y, adder2d(x.float(), weight.float()).to(dtype))


def test_autocast_computes_in_float32():
    x, weight = torch.randn(1, 4, 5, 5, requires_grad=True), torch.randn(3, 4, 3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        y = adder2d(x.bfloat16(), weight)
    assert torch.equal(y, adder2d(x.bfloat16().float(), weight))
    y.sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize("gradient", ["paper", "sign"])
def test_pytorchs_own_checks_of_an_operator(gradient):
    x, weight, bias = (torch.randn(shape, requires_grad=True) for shape in ((2, 4, 7, 6), (6, 2, 3, 3), (6,)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's compiler warns of what it does itself
        torch.library.opcheck(
            torch.ops.featherweight.adder2d.default, (x, weight, bias, [2, 2], [1, 1], [1, 1], 2, gradient)
        )
        gradients = torch.ops.featherweight.adder2d_input_gradient, torch.ops.featherweight.adder2d_weight_gradient
        for operator in gradients:
            grad = torch.randn(2, 6, 4, 3)
            for turned in (x.detach(), x.detach().to(memory_format=torch.channels_last)):
                arguments = (grad, turned, weight.detach(), [2, 2], [1, 1], [1, 1], 2, gradient)
                torch.library.opcheck(operator.default, arguments)


@pytest.mark.parametrize("gradient", ["paper", "sign"])
def test_second_derivatives_are_refused(gradient):
    x, weight = torch.randn(1, 2, 4, 4, requires_grad=True), torch.randn(3, 2, 3, 3, requires_grad=True)
    y = adder2d(x, weight, gradient=gradient)
    dx, dweight = torch.autograd.grad(y.square().sum(), (x, weight), create_graph=True)
    for first in (dx, dweight):
        with pytest.raises(RuntimeError, match=r"adder2d_\w+_gradient cannot be differentiated"):
            torch.autograd.grad(first.sum(), weight, retain_graph=True)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_pytorchs_default_type_does_not_matter(dtype):
    x, weight = torch.randn(1, 2, 5, 5, requires_grad=True), torch.randn(3, 2, 3, 3)
    expected = adder2d(x, weight)
    (dx,) = torch.autograd.grad(expected.sum(), x)
    torch.set_default_dtype(dtype)
    try:
        y = adder2d(x, weight)
        assert y.dtype == torch.float32 and torch.equal(y, expected)
        assert torch.equal(torch.autograd.grad(y.sum(), x)[0], dx)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("stride", [10**9, 2**31 - 1])
def test_a_stride_beyond_the_picture(stride):
    x, weight = torch.randn(1, 2, 5, 6), torch.randn(3, 2, 3, 3)
    assert torch.equal(adder2d(x, weight, stride=stride), adder2d(x, weight)[:, :, :1, :1])
    with pytest.raises(ValueError, match=r"must be less than 2\^31"):
        adder2d(x, weight, stride=2**62)


@pytest.mark.parametrize("stride", [1.5, (1.5, 1), "2", (1, 2, 3)])
def test_steps_are_whole_numbers(stride):
    with pytest.raises(ValueError, match="wanted one whole number, or two for height and width; got"):
        adder2d(torch.randn(1, 2, 5, 5), torch.randn(3, 2, 3, 3), stride=stride)


def test_numbers_of_numpy_are_numbers():
    x, weight = torch.randn(1, 2, 5, 5), torch.randn(3, 2, 3, 3)
    assert torch.equal(adder2d(x, weight, stride=np.int64(2)), adder2d(x, weight, stride=2))


def test_no_filters():
    x, weight = torch.randn(1, 2, 5, 5, requires_grad=True), torch.randn(0, 2, 3, 3, requires_grad=True)
    y = adder2d(x, weight)
    y.sum().backward()
    assert y.shape == (1, 0, 3, 3) and not x.grad.any() and weight.grad.shape == weight.shape


def test_traced_it_is_made_of_plain_operators():
    x, weight = torch.randn(2, 4, 7, 6), torch.randn(6, 2, 3, 3)

    def layer(x):
        return adder2d(x, weight, weight[:, 0, 0, 0], stride=2, padding=1, dilation=(1, 2), groups=2)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch.jit as a whole
        traced = torch.jit.trace(layer, x)
    assert "featherweight::" not in str(traced.graph)
    other = torch.randn(5, 4, 7, 6)
    torch.testing.assert_close(traced(other), layer(other))


@pytest.mark.parametrize(
    ("x", "weight", "options", "error", "message"),
    [
        ((1, 3, 5, 5), (2, 4, 3, 3), {}, ValueError, r"x has 3 channels; weight \[2, 4, 3, 3\] with groups=1 is for 4"),
        ((1, 4, 5, 5), (3, 2, 3, 3), {"groups": 2}, ValueError, "groups must divide its 3 outputs"),
        ((3, 5, 5), (2, 3, 3, 3), {}, ValueError, r"wanted x \[N, C, H, W\] and weight .*; got \[3, 5, 5\] and"),
        ((1, 3, 2, 9), (2, 3, 3, 3), {}, RuntimeError, "reaches over 3 x 3 pixels, .* has only 2 x 9"),
        (
            (1, 3, 5, 5),
            (2, 3, 3, 3),
            {"stride": 0},
            ValueError,
            r"stride and dilation must be 1 or more, .* got \[0, 0\]",
        ),
        (
            (1, 3, 5, 5),
            (2, 3, 3, 3),
            {"stride": (1, 2, 3)},
            ValueError,
            r"one whole number, or two .*; got \(1, 2, 3\)",
        ),
        ((1, 3, 5, 5), (2, 3, 3, 3), {"bias": torch.zeros(3)}, ValueError, r"wanted a bias \[2\], .* got \[3\]"),
        (
            (1, 3, 5, 5),
            (2, 3, 3, 3),
            {"bias": torch.zeros(2).double()},
            TypeError,
            "one floating-point type; got torch",
        ),
        ((1, 3, 5, 5), (2, 3, 3, 3), {"gradient": "l2"}, ValueError, "unknown gradient 'l2'; known: sign, paper"),
    ],
)
def test_errors_say_what_came_and_what_was_wanted(x, weight, options, error, message):
    with pytest.raises(error, match=message):
        adder2d(torch.zeros(x), torch.zeros(weight), **options)
