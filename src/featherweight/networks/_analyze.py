"""Cost of a network, by its name or as it is."""

from typing import TYPE_CHECKING

from torch import nn

from ._meta import on_meta_device
from ._registry import create

if TYPE_CHECKING:
    from featherweight.cost import Cost


def analyze(
    model: nn.Module | str, input_size: int | tuple[int, int] | tuple[int, int, int] | None = None, **options: object
) -> "Cost":
    """Count what one picture costs: parameters, multiply-adds, memory, traffic; nothing is computed.

    Args:
        model: a network, or a name for `create`, which is then built without weights.
        input_size: side of a square picture, or (height, width), or (channels, height, width), in pixels. Default:
            the network's own.
        options: of `create`, for a name.
    Raises:
        ValueError: unknown name, or an option's value that the network does not have.
        TypeError: unknown option, or options for a model that is built already.
        UnknownOperatorError: the model uses an operator that has no cost formula.

    Example:
        >>> cost = analyze("mobilenet_v2", width=0.35)
        >>> cost.params, cost.multiply_adds
        (1677128, 59285808)
    """
    from featherweight import cost

    if isinstance(model, str):
        with on_meta_device():
            model = create(model, **options)  # type: ignore[arg-type]
    elif options:
        raise TypeError(f"options are for a name; this {type(model).__name__} is built already: {', '.join(options)}")
    return cost.analyze(model, input_size)
