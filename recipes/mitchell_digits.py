"""A network that learns the digits without a multiplication, forward or backward, beside the one that multiplies.

    python recipes/mitchell_digits.py                  ResNet-20 at half its width
    python recipes/mitchell_digits.py resnet32 --width 0.25 --backward exact

Every product, square, quotient and root of the network is Mitchell's: an integer addition of bit patterns, in its
convolutions, batch norms, average pooling and fully connected layers, and in the gradients of all of them. Loss and
optimizer multiply as usual. Both networks begin with the same weights and are trained with the recipe of
recipes/digits_zoo.py.

Expected: both find 98 % of the test digits or more; five minutes on one core of a server's CPU.
"""

import argparse

import torch
from digits_zoo import RESOLUTION, teach
from torch import nn

from featherweight._units import format_count, format_joules
from featherweight.blocks import MitchellAvgPool2d, MitchellBatchNorm2d, MitchellLinear
from featherweight.compress import replace
from featherweight.cost import analyze
from featherweight.networks import create

SIZE = (1, RESOLUTION, RESOLUTION)
MULTIPLYING = (nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.AdaptiveAvgPool2d, nn.AvgPool2d)


def without_multiplications(model: nn.Module, *, backward: str = "approximate") -> nn.Module:
    """Put Mitchell's forms in the place of all layers that multiply, in a copy; weights are taken over.

    Raises: ValueError: layers that multiply are left.
    """
    changed = replace(model, nn.Conv2d, "mitchell", keep=(), input_size=SIZE).model
    for name, module in list(changed.named_modules()):
        if new := mitchell_form(module):
            new.load_state_dict(module.state_dict())
            changed.set_submodule(name, new)
    if left := [f"{name}: {module}" for name, module in changed.named_modules() if isinstance(module, MULTIPLYING)]:
        raise ValueError(f"{len(left)} layers multiply still:\n" + "\n".join(left))
    for module in changed.modules():
        if hasattr(module, "backward"):
            module.backward = backward
    return changed


def mitchell_form(module: nn.Module) -> nn.Module | None:
    """Make what takes a layer's place; None where there is none."""
    match module:
        case nn.Linear():
            return MitchellLinear(module.in_features, module.out_features, bias=module.bias is not None)
        case nn.BatchNorm2d():
            return MitchellBatchNorm2d(module.num_features, eps=module.eps, momentum=module.momentum)
        case nn.AdaptiveAvgPool2d(output_size=1):
            return MitchellAvgPool2d()
        case nn.AvgPool2d(kernel_size=int(), padding=0):
            return MitchellAvgPool2d(module.kernel_size, module.stride)
    return None


def main() -> None:
    """Train both, and print what they reach and what their arithmetic costs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", nargs="?", default="resnet20", help="of plain convolutions; default: %(default)s")
    parser.add_argument("--width", type=float, default=0.5, help="default: %(default)s")
    parser.add_argument(
        "--backward", choices=("approximate", "exact"), default="approximate", help="default: %(default)s"
    )
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    ordinary = create(wanted.network, width=wanted.width, num_classes=10, in_channels=1, small_input=True, dropout=0.0)
    ours = without_multiplications(ordinary, backward=wanted.backward)
    for name, model in ((wanted.network, ordinary), ("without multiplications", ours)):
        cost = analyze(model, SIZE)
        accuracy, seconds = teach(model)
        print(f"{name:26}{accuracy:8.2%}{seconds:8.1f} s   {format_count(cost.operations.multiplies):>8} multiplies, "
              f"arithmetic {format_joules(cost.energy_joules['float32'])} a picture at 45 nm", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
