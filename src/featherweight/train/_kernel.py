"""AdderNets taught by a convolutional twin: the twin, the layers that answer to each other, the kernels in between."""

import copy
from collections.abc import Iterator
from itertools import zip_longest

import torch
from torch import Tensor, nn

from featherweight.blocks import AdderConv2d, initialize

EPSILON = 1e-5  # of a variance, as batch norm's

Layer = nn.Conv2d | AdderConv2d


def adder_kernel(output: Tensor) -> Tensor:
    """Map what an adder layer gives, minus a distance d, to exp(-d / (2 sigma^2)), up to a constant factor.

    Shape: any -> the same
    """
    return _exponential(output)


def convolution_kernel(output: Tensor) -> Tensor:
    """Map what a convolution gives, a product y, to exp(-y / (2 sigma^2)), up to a constant factor.

    Shape: any -> the same
    """
    return _exponential(-output)


def _exponential(x: Tensor) -> Tensor:
    """Return exp((x - mean) / (2 sigma^2)), sigma^2 the standard deviation of x, so that the exponent's is 1/2."""
    variance, mean = torch.var_mean(x.detach(), correction=0)
    return torch.exp((x - mean) / (2 * (variance + EPSILON).sqrt()))


def layer_hints(student: nn.Module, teacher: nn.Module) -> list[tuple[str, str]]:
    """Pair each adder layer of a student with the convolution that stands at its place in a teacher.

    Adder layers and convolutions are counted together, in the order of `named_modules`. A convolution of the student's,
    as first and last layers are, has its place in the count and is no hint.

    Args:
        student: an AdderNet.
        teacher: a network of the same architecture, such as `convolutional_twin`'s.
    Returns: pairs of names, as `Distillation` takes them for hints.
    Raises: ValueError: there is no adder layer, or the teacher has another layer at a place, or none; the message names
        the first such place.

    Example:
        >>> from featherweight.networks import create
        >>> layer_hints(create("adder_resnet20"), create("resnet20", shortcut="projection"))[:2]
        [('body.0.first.conv', 'body.0.first.conv'), ('body.0.second.conv', 'body.0.second.conv')]
        >>> layer_hints(create("adder_lenet5_bn"), create("lenet5_bn"))
        Traceback (most recent call last):
        ...
        ValueError: the teacher has no convolution at the place of the student's head.pool.1.conv, AdderConv2d(...)
    """
    pairs = []
    for (name, mine), (other, theirs) in zip_longest(_layers(student), _layers(teacher), fillvalue=("", None)):
        if mine is None:
            raise ValueError(f"the teacher has a layer more than the student: {other}, {theirs}")
        if not isinstance(mine, AdderConv2d):
            continue
        if theirs is None:
            raise ValueError(f"the teacher has no convolution at the place of the student's {name}, {mine}")
        if not isinstance(theirs, nn.Conv2d) or _form(mine) != _form(theirs):
            raise ValueError(f"the teacher's {other}, {theirs}, is not of the shape of the student's {name}, {mine}")
        pairs.append((name, other))
    if not pairs:
        raise ValueError(f"{type(student).__name__} has no adder layers to take hints of")
    return pairs


def convolutional_twin(student: nn.Module, *, seed: int) -> nn.Module:
    """Return a copy of an AdderNet with convolutions in the place of its adder layers, its weights drawn anew.

    Args:
        student: is left as it was.
        seed: of the weights, which are drawn as `create` draws convolutional networks'.
    Returns: [N, C, H, W] -> [N, classes], as the student.
    Raises: ValueError: there is no adder layer.
    Source: Xu et al. 2020, https://arxiv.org/abs/2009.13044: "a CNN with the same architecture".

    Example:
        >>> twin = convolutional_twin(nn.Sequential(AdderConv2d(3, 8, kernel_size=3, stride=2), nn.ReLU()), seed=0)
        >>> twin[0]
        Conv2d(3, 8, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), bias=False)
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        twin = _with_convolutions(copy.deepcopy(student))
        for module in twin.modules():
            if callable(draw := getattr(module, "reset_parameters", None)):
                draw()
        initialize(twin)
    return twin


def _with_convolutions(network: nn.Module) -> nn.Module:
    names = [name for name, layer in _layers(network) if isinstance(layer, AdderConv2d)]
    if not names:
        raise ValueError(f"{type(network).__name__} has no adder layers to put convolutions in the place of")
    for name in names:
        network.set_submodule(name, _convolution(network.get_submodule(name)))
    return network


def _layers(network: nn.Module) -> Iterator[tuple[str, Layer]]:
    return ((name, module) for name, module in network.named_modules() if isinstance(module, Layer))


def _form(layer: Layer) -> tuple[object, ...]:
    """Return what the shape of a layer's output follows from, pairs for both sides where it has but one number."""
    sides = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    return layer.in_channels, layer.out_channels, layer.groups, *(2 * (n,) if isinstance(n, int) else n for n in sides)


def _convolution(layer: nn.Module) -> nn.Conv2d:
    """Make a convolution of an adder layer's shape, where that one's weights are."""
    assert isinstance(layer, AdderConv2d)
    return nn.Conv2d(
        layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding, layer.dilation,
        layer.groups, bias=layer.bias is not None, device=layer.weight.device,
    )  # fmt: skip
