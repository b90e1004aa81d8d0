"""Channel counts and strides: the two bits of arithmetic that layer tables leave to the reader."""

from collections.abc import Sequence


def round_channels(channels: float, divisor: int = 8) -> int:
    """Round a scaled channel count to a multiple of `divisor`, never below 90 % of it.

    The rule of MobileNetV2's released code, which MobileNetV3, MnasNet, EfficientNet and GhostNet (with divisor 4)
    share: the nearest multiple, ties up, at least `divisor`, and one multiple more where that would lose over 10 %.

    Source: tensorflow/models, research/slim/nets/mobilenet/mobilenet.py, `_make_divisible`.

    Example:
        >>> [round_channels(24 * width) for width in (0.35, 0.5, 0.75, 1.0, 1.4)]
        [8, 16, 24, 24, 32]
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def strides(first: int, repeats: int) -> tuple[int, ...]:
    """Strides of a table row: the first block has the row's stride, the others have stride 1.

    Example:
        >>> strides(2, 3)
        (2, 1, 1)
    """
    return (first,) + (1,) * (repeats - 1)


def early_strides(table: Sequence[int], *, small_input: bool) -> tuple[int, ...]:
    """Strides of a network in order; for small pictures the first two reductions become 1.

    A network for 224 x 224 reduces its input 32 times, which leaves one pixel of a 32 x 32 picture. With
    `small_input` it reduces 8 times, the habit of CIFAR versions of these networks.

    Example:
        >>> early_strides((2, 1, 2, 2, 1, 2, 2), small_input=True)
        (1, 1, 1, 2, 1, 2, 2)
        >>> early_strides((2, 1, 2), small_input=False)
        (2, 1, 2)
    """
    left = 2 if small_input else 0
    kept = []
    for stride in table:
        dropped = stride > 1 and left > 0
        left -= dropped
        kept.append(1 if dropped else stride)
    return tuple(kept)
