"""Products by integer addition: their bounds, their exact cases, what is no number, sums in order, slopes by steps."""

import itertools
import warnings

import pytest
import torch

from featherweight.ops import mitchell_conv2d, mitchell_linear, mitchell_matmul, mitchell_multiply
from featherweight.ops.mitchell.reference import slope

INF, NAN = float("inf"), float("nan")
LEAST = 2.0**-126
POWERS = 2.0 ** torch.arange(-30, 31)


def numbers(count=100_000):
    """Return normal numbers of either sign over sixty powers of two."""
    return torch.randn(count) * 2.0 ** torch.randint(-30, 31, (count,))


def bits(x):
    return x.view(torch.int32)


def test_the_error_lies_between_minus_a_ninth_and_zero():
    a, b = numbers(), numbers()
    error = mitchell_multiply(a, b).double() / (a.double() * b.double()) - 1
    assert error.min() >= -1 / 9 - 1e-7
    assert error.max() <= 1e-7
    assert error.min() < -0.111
    fractions = torch.rand(2, 100_000) + 1
    mean = (mitchell_multiply(*fractions).double() / fractions.double().prod(0) - 1).mean()
    assert mean.item() == pytest.approx(-0.0385, abs=5e-4)


def test_the_worst_case_is_one_and_a_half_squared():
    assert mitchell_multiply(torch.tensor(1.5), torch.tensor(1.5)).item() == 2.0


def test_a_compensation_takes_the_mean_error_away():
    fractions = torch.rand(2, 100_000) + 1
    error = mitchell_multiply(*fractions, compensation=0.058).double() / fractions.double().prod(0) - 1
    assert abs(error.mean()) < 1e-3
    assert -0.0765 < error.min() < -0.07
    assert 0.055 < error.max() < 0.0585


def test_powers_of_two_are_exact():
    a = numbers(61)
    for power in (POWERS, -POWERS):
        assert torch.equal(mitchell_multiply(a, power), a * power)
        assert torch.equal(mitchell_multiply(power, a), a * power)


def test_one_is_neutral_and_the_order_does_not_matter():
    a, b = numbers(), numbers()
    assert torch.equal(mitchell_multiply(a, torch.ones(())), a)
    assert torch.equal(mitchell_multiply(a, b), mitchell_multiply(b, a))


def test_it_is_one_integer_addition():
    a, b = numbers(), numbers()
    assert torch.equal(bits(mitchell_multiply(a, b)), bits(a) + bits(b) - bits(torch.ones(1)))


SIZES = (0.0, 1e-40, LEAST, 1.0, 1.75, 2.0**127, 3.4e38, INF, NAN)


@pytest.mark.parametrize(("a", "b"), list(itertools.product(SIZES, SIZES)))
def test_what_lies_out_of_range(a, b):
    """As IEEE multiplication, with subnormal numbers and results taken as zeros."""
    for sign_a, sign_b in itertools.product((1, -1), (1, -1)):
        x, y = torch.tensor([sign_a * a]), torch.tensor([sign_b * b])
        got = mitchell_multiply(x, y)
        flushed = (torch.where(factor.abs() < LEAST, factor.sign() * 0, factor) for factor in (x, y))
        plain = torch.stack([torch.copysign(factor, given) for factor, given in zip(flushed, (x, y), strict=True)])
        exact = plain.double().prod(0)
        if exact.isnan():
            assert bits(got).item() == 0x7FC00000
            continue
        assert torch.equal(got.signbit(), exact.signbit())
        near = got.double().abs()
        if exact == 0 or exact.abs() < LEAST:
            assert near == 0
        elif exact.isinf() or near.isinf():
            assert exact.abs() >= 2.0**128
        elif exact.abs() >= 2.0**128:
            assert near >= exact.abs() * 8 / 9
        else:
            assert near == 0 or 8 / 9 - 1e-7 <= near / exact.abs() <= 1


def test_the_step_to_the_next_number_is_the_slope():
    a, b = numbers(), numbers()
    after = (bits(a) + 1).view(torch.float32)
    for compensation in (0.0, 0.058):
        step = mitchell_multiply(after, b, compensation=compensation).double() - mitchell_multiply(
            a, b, compensation=compensation
        )
        assert torch.equal(slope(a, b, compensation).double(), step / (after.double() - a))


def test_slopes_of_what_is_no_normal_number():
    a = torch.tensor([0.0, 1e-40, 1.5, 1.5, 1.0, NAN, 1.0, 1.5])
    b = torch.tensor([3.0, -3.0, 0.0, 1e-40, -INF, 1.0, NAN, -3.4e38])
    expected = torch.tensor([2.0, -2.0, 0.0, 0.0, -INF, NAN, NAN, -INF])
    torch.testing.assert_close(slope(a, b), expected, rtol=0, atol=0, equal_nan=True)


def in_order(products):
    """Add along the last dimension, one after the other."""
    total = torch.zeros(products.shape[:-1])
    for k in range(products.shape[-1]):
        total = total + products[..., k]
    return total


def test_matrix_products_add_in_order():
    a, b = torch.randn(2, 1, 5, 7), torch.randn(3, 7, 4)
    for compensation in (0.0, 0.058):
        products = mitchell_multiply(a.unsqueeze(-2), b.mT.unsqueeze(-3), compensation=compensation)
        assert torch.equal(mitchell_matmul(a, b, compensation=compensation), in_order(products))


CONVOLUTIONS = [
    ((2, 3, 6, 5), (4, 3, 3, 3), {"padding": 1}),
    ((1, 4, 7, 7), (6, 2, 3, 3), {"stride": 2, "padding": (1, 0), "groups": 2}),
    ((2, 4, 6, 6), (4, 1, 3, 3), {"dilation": (1, 2), "groups": 4}),
    ((2, 5, 4, 4), (3, 5, 1, 1), {"stride": (2, 1)}),
]
convolutions = pytest.mark.parametrize(("x", "weight", "options"), CONVOLUTIONS)


@convolutions
def test_convolutions_of_powers_of_two_are_convolutions(x, weight, options):
    """Products are exact then, and few terms of few powers add without rounding: every order gives the same."""
    x, weight = torch.randint(-8, 9, x).float(), 2.0 ** torch.randint(-2, 3, weight)
    bias = torch.randn(len(weight))
    expected = torch.nn.functional.conv2d(x, weight, **options) + bias[:, None, None]
    got = mitchell_conv2d(x, weight, bias, **options)
    assert torch.equal(got, expected)
    assert got.is_contiguous()


@convolutions
def test_gradients_of_powers_of_two_are_those_of_convolutions(x, weight, options):
    x, weight = torch.randint(-8, 9, x).float().requires_grad_(), (2.0 ** torch.randint(-2, 3, weight)).requires_grad_()
    y = torch.nn.functional.conv2d(x, weight, **options)
    grad = 2.0 ** torch.randint(-2, 3, y.shape)
    expected = torch.autograd.grad(y, (x, weight), grad)
    for backward in ("approximate", "exact"):
        got = torch.autograd.grad(mitchell_conv2d(x, weight, backward=backward, **options), (x, weight), grad)
        assert torch.equal(got[0], expected[0])
        if backward == "approximate":
            assert torch.equal(got[1], expected[1])


@pytest.mark.parametrize("backward", ["approximate", "exact"])
@convolutions
def test_gradients_of_convolutions_are_those_of_their_matrix_products(*, x, weight, options, backward):
    x, weight = torch.randn(x, requires_grad=True), torch.randn(weight, requires_grad=True)
    y = mitchell_conv2d(x, weight, backward=backward, **options)
    grad = torch.randn_like(y)
    got = torch.autograd.grad(y, (x, weight), grad)
    window = {"stride": 1, "padding": 0, "dilation": 1, **options}
    groups = window.pop("groups", 1)
    patches = torch.nn.functional.unfold(x, weight.shape[2:], **window).unflatten(1, (groups, -1))
    product = mitchell_matmul(weight.flatten(1).unflatten(0, (groups, -1)), patches, backward=backward)
    assert torch.equal(product.flatten(1, 2).view_as(y), y)
    torch.testing.assert_close(got, torch.autograd.grad(product.flatten(1, 2).view_as(y), (x, weight), grad))


@pytest.mark.parametrize("compensation", [0.0, 0.058])
def test_backward_of_matrix_products(compensation):
    a, b, grad = torch.randn(3, 4, requires_grad=True), torch.randn(4, 5, requires_grad=True), torch.randn(3, 5)

    def gradients(backward):
        product = mitchell_matmul(a, b, backward=backward, compensation=compensation)
        return torch.autograd.grad(product, (a, b), grad)

    approximate = gradients("approximate")
    assert torch.equal(approximate[0], mitchell_matmul(grad, b.detach().mT, compensation=compensation))
    assert torch.equal(approximate[1], mitchell_matmul(a.detach().mT, grad, compensation=compensation))
    by_a = slope(a.detach()[:, :, None], b.detach(), compensation) * grad[:, None]  # by a power of two: exact
    by_b = slope(b.detach(), a.detach()[:, :, None], compensation) * grad[:, None]
    exact = gradients("exact")
    assert torch.equal(exact[0], in_order(by_a))
    assert torch.equal(exact[1], in_order(by_b.permute(1, 2, 0)))


@pytest.mark.parametrize("backward", ["approximate", "exact"])
def test_backward_of_single_products_adds_what_was_broadcast(backward):
    a, b = torch.randn(3, 1, requires_grad=True), torch.randn(4, requires_grad=True)
    got = torch.autograd.grad(mitchell_multiply(a, b, backward=backward).sum(), (a, b))
    ones = torch.ones(3, 4)
    slopes = (slope(a.detach(), b.detach()), slope(b.detach(), a.detach()))
    factors = (b.detach() * ones, a.detach() * ones) if backward == "approximate" else slopes
    torch.testing.assert_close(got, (factors[0].sum(1, keepdim=True), factors[1].sum(0)))


def test_linear_layers():
    x, weight, bias = torch.randn(2, 3, 6), torch.randn(4, 6), torch.randn(4)
    assert torch.equal(mitchell_linear(x, weight, bias), mitchell_matmul(x, weight.t()) + bias)


def test_autocast_computes_in_float32():
    x, weight = torch.randn(2, 3, 5, 5), torch.randn(4, 3, 3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        y = mitchell_conv2d(x.bfloat16(), weight)
        z = mitchell_linear(x.bfloat16(), weight[0, 0, :, :1].expand(3, 5))
    assert torch.equal(y, mitchell_conv2d(x.bfloat16().float(), weight))
    assert z.dtype == torch.float32


@pytest.mark.parametrize("backward", ["approximate", "exact"])
def test_pytorchs_own_checks_of_the_operators(backward):
    operators = torch.ops.featherweight
    a, b = torch.randn(3, 4, requires_grad=True), torch.randn(4, 5, requires_grad=True)
    x, weight = torch.randn(2, 4, 5, 5, requires_grad=True), torch.randn(6, 2, 3, 3, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's compiler warns of what it does itself
        torch.library.opcheck(operators.mitchell_multiply.default, (a, b[:, :1].mT, backward, 0.0))
        torch.library.opcheck(operators.mitchell_matmul.default, (a, b, backward, 0.0))
        settings = ([1, 2], [1, 1], [1, 1], 2, backward, 0.058)
        torch.library.opcheck(operators.mitchell_conv2d.default, (x, weight, None, *settings))
        turned = torch.randn(4, 3).mT.detach()
        torch.library.opcheck(operators.mitchell_multiply.default, (turned, turned, backward, 0.0))
        torch.library.opcheck(operators.mitchell_multiply_gradient.default, (turned, turned, turned, backward, 0.0))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_pytorchs_default_type_does_not_matter(dtype):
    a, b, weight = torch.randn(1, 2, 5, 5), torch.randn(1, 2, 5, 5), torch.randn(3, 2, 3, 3)
    calls = (
        lambda: mitchell_multiply(a, b), lambda: mitchell_matmul(a, b), lambda: mitchell_conv2d(a, weight)
    )  # fmt: skip
    expected = [call() for call in calls]
    torch.set_default_dtype(dtype)
    try:
        assert all(torch.equal(call(), right) for call, right in zip(calls, expected, strict=True))
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: mitchell_multiply(torch.ones(1), torch.ones(1).double()),
            TypeError,
            "wanted float32, .* got torch.fl",
        ),
        (lambda: mitchell_matmul(torch.ones(2, 3), torch.ones(2, 3)), ValueError, r"got \[2, 3\] and \[2, 3\]"),
        (lambda: mitchell_matmul(torch.ones(2, 3), torch.ones(3)), ValueError, r"wanted \[..., m, k\] and"),
        (
            lambda: mitchell_multiply(torch.ones(1), torch.ones(1), backward="true"),
            ValueError,
            "known: approximate, ex",
        ),
        (lambda: mitchell_multiply(torch.ones(1), torch.ones(1), compensation=1), ValueError, "less than 1; got 1"),
        (lambda: mitchell_conv2d(torch.ones(1, 2, 2, 2), torch.ones(1, 2, 3, 3)), RuntimeError, "has only 2 x 2"),
        (lambda: mitchell_conv2d(torch.ones(1, 2, 2, 2), torch.ones(1, 1, 1, 1)), ValueError, "x has 2 channels"),
    ],
)
def test_errors_say_what_came_and_what_was_wanted(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("x", "weight", "bias", "message"),
    [
        ((2, 4), (3, 5), None, r"wanted x \[..., in\] and weight \[out, in\]; got \[2, 4\] and \[3, 5\]"),
        ((), (3, 1), None, r"got \[\] and \[3, 1\]"),
        ((2, 5), (3, 5), (4,), r"wanted a bias \[3\], one for each output; got \[4\]"),
    ],
)
def test_linear_says_what_came(x, weight, bias, message):
    with pytest.raises(ValueError, match=message):
        mitchell_linear(torch.zeros(x), torch.zeros(weight), None if bias is None else torch.zeros(bias))
