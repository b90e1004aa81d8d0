"""The operators on a GPU, through PyTorch's dispatcher, against the references: what the interpreter cannot show."""

import pytest
import torch

from featherweight.ops.adder import op
from featherweight.ops.adder import reference as adder
from featherweight.ops.mitchell import conv2d
from featherweight.ops.mitchell import reference as mitchell

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU here")

# x, weight, stride, padding, dilation, groups
SHAPES = [
    ((2, 16, 32, 32), (16, 16, 3, 3), [1, 1], [1, 1], [1, 1], 1),
    ((3, 64, 7, 7), (130, 64, 1, 1), [2, 2], [0, 0], [1, 1], 1),
    ((2, 30, 9, 11), (66, 10, 3, 2), [2, 1], [1, 2], [1, 2], 3),
    ((2, 40, 13, 13), (40, 1, 5, 5), [1, 1], [2, 2], [1, 1], 40),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("gradient", op.GRADIENTS)
def test_the_adder_layer(shape, gradient):
    x, weight, *settings = shape
    x, weight, bias = torch.randn(x), torch.randn(weight), torch.randn(weight[0])
    y = op.forward(x.cuda(), weight.cuda(), bias.cuda(), *settings, gradient)
    expected = adder.adder2d(x.double(), weight.double(), *settings) + bias.double()[:, None, None]
    torch.testing.assert_close(y.cpu().double(), expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())
    arguments = torch.randn(y.shape), x, weight, *settings, gradient
    for kernel, reference in (
        (op.input_gradient, adder.input_gradient),
        (op.weight_gradient, adder.weight_gradient),
    ):
        got = kernel(*(one.cuda() if isinstance(one, torch.Tensor) else one for one in arguments))
        right = reference(*(one.double() if isinstance(one, torch.Tensor) else one for one in arguments))
        tolerance = 1e-5 if kernel is op.input_gradient else 2e-3  # PyTorch's convolutions may use TF32
        torch.testing.assert_close(got.cpu().double(), right, rtol=0, atol=tolerance * right.abs().max().item())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rule", ["approximate", "exact"])
def test_products_by_integer_addition_have_the_references_bits(shape, rule):
    x, weight, *settings = shape
    x, weight = torch.randn(x).relu_(), torch.randn(weight)
    expected = mitchell.conv2d(x, weight, *settings, 0.058)
    y = conv2d.forward(x.cuda(), weight.cuda(), None, *settings, rule, 0.058)
    assert torch.equal(y.cpu(), expected)
    arguments = torch.randn(y.shape), x, weight, *settings, rule, 0.058
    on_gpu = tuple(one.cuda() if isinstance(one, torch.Tensor) else one for one in arguments)
    assert torch.equal(conv2d.conv2d_input_gradient(*on_gpu).cpu(), mitchell.conv2d_input_gradient(*arguments))
    assert torch.equal(conv2d.conv2d_weight_gradient(*on_gpu).cpu(), mitchell.conv2d_weight_gradient(*arguments))
