"""Networks drawn at random from all blocks: what a predictor of latency learns from, and what tools are tried on."""

import random
from collections.abc import Sequence
from itertools import count

import torch
from torch import nn

from featherweight import blocks as b
from featherweight.cost import meta_twin

from ._random_blocks import COMMON, MAKERS, Draw, rounded

ATTEMPTS = 100  # at a block that fits the channels before it
LAST_SIDE = 7  # of the map behind which a network ends
WIDTHS = (8, 12, 16, 24, 32, 48, 64)  # behind the stem
MOST = (256, 512, 1024)  # channels of a small, a middling, a large network
LATE_STAGES = 3  # of a network that looks at its pictures at full size for long, as those for small pictures do


def random_network(
    seed: int, *, resolution: int = 224, in_channels: int = 3, num_classes: int = 1000, adders: bool = False
) -> b.ImageClassifier:
    """Draw a network: a stem, stages of blocks of up to three sorts that halve the sides, and a head.

    It is no network of any paper. The same seed gives the same network; its weights are drawn from PyTorch's own
    generator.

    Args:
        seed: what to draw.
        resolution: side of the pictures; the smaller, the fewer stages.
        in_channels, num_classes: as in any network.
        adders: draw layers without multiplications, too.
    Raises: ValueError: the resolution is under 8.

    Example:
        >>> network = random_network(3, resolution=64, num_classes=10)
        >>> network(torch.zeros(2, 3, 64, 64)).shape
        torch.Size([2, 10])
    """
    if resolution < 8:
        raise ValueError(f"resolution must be 8 or more; got {resolution}")
    rng = random.Random(seed)
    draw = Draw(rng)
    most = rng.choice(MOST)
    channels = rng.choice(WIDTHS[:5] if most == MOST[0] else WIDTHS)
    late = resolution >= 64 and rng.random() < 0.3
    stem, side = _stem(draw, in_channels, channels, resolution, full_size=late)
    known = sorted(MAKERS.keys() if adders else MAKERS.keys() - {"adder"})
    sorts = rng.sample(known, 3, counts=[COMMON.get(name, 1) for name in known])
    body: list[nn.Module] = []
    for stage in count(1):
        wanted = min(most, channels * rng.uniform(1.1, 2.5))
        for position in range(rng.choice([1, 2, 3, 4])):
            stride = 2 if position == 0 and side > 1 and not (late and stage == 1) else 1
            block, channels = _block(draw, sorts, channels, int(wanted), stride)
            body.append(block)
            side = -(-side // stride)
        if side <= LAST_SIDE or (late and stage == LATE_STAGES):
            break
    if rng.random() < 0.3:
        wider = rounded(channels * rng.uniform(1, 4))
        body.append(b.ConvNormAct(channels, wider, activation=draw.activation))
        channels = wider
    head = _head(draw, channels, num_classes, small=side <= LAST_SIDE)
    if head is None:
        with torch.no_grad():
            last = meta_twin(nn.Sequential(stem, *body))(torch.empty(1, in_channels, *[resolution] * 2, device="meta"))
        hidden = [rng.choice([512, 1024, 4096]) for _ in range(rng.choice([0, 1, 2]))]
        head = b.FullyConnectedHead(channels, num_classes, side=last.shape[-1], hidden_channels=hidden)
    return b.ImageClassifier(stem, body, head, in_channels=in_channels, resolution=resolution).eval()


def _stem(draw: Draw, before: int, after: int, side: int, *, full_size: bool) -> tuple[nn.Module, int]:
    """A convolution, that usually halves the sides of large pictures, sometimes with a pooling behind it."""
    large = side >= 64 and not full_size
    stride = 2 if large and draw.rng.random() < 0.85 else 1
    layers: list[nn.Module] = [
        b.ConvNormAct(before, after, draw.rng.choice([3, 3, 5, 7]), stride, activation=draw.activation)
    ]
    if large and draw.rng.random() < 0.3:
        layers.append(nn.MaxPool2d(3, 2, 1))
        stride *= 2
    return nn.Sequential(*layers), -(-side // stride)


def _block(draw: Draw, sorts: Sequence[str], before: int, after: int, stride: int) -> tuple[nn.Module, int]:
    for _ in range(ATTEMPTS):
        after = rounded(after, draw.rng.choice([2, 4, 8, 8, 16]))
        try:
            return MAKERS[draw.rng.choice(sorts)](draw, before, after, stride)
        except ValueError:  # its groups do not divide these channels: the next draw
            continue
    return MAKERS["separable"](draw, before, after, stride)


def _head(draw: Draw, channels: int, num_classes: int, *, small: bool) -> nn.Module | None:
    """Draw a head; None is one that takes all places of a small last map, whose side has to be known."""
    kind = draw.rng.random()
    if kind < 0.1 and small:
        return None
    if kind < 0.2 and num_classes <= channels:
        return b.ConvClassifierHead(channels, num_classes)
    if kind < 0.5:
        wider = rounded(channels * draw.rng.uniform(1, 4))
        return b.ClassifierHead(channels, num_classes, hidden_channels=wider, activation=draw.activation)
    return b.ClassifierHead(channels, num_classes)
