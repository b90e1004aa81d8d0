"""Which networks of torchvision and timm are ours, and under which of our options."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from itertools import groupby, product
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor, nn

from featherweight._extras import require

from ._checkpoints import COUNTERS
from ._meta import on_meta_device
from ._registry import network

LIBRARIES = ("torchvision", "timm")
FREE = {"num_classes", "in_channels", "dropout", "drop_path", "small_input", "resolution"}  # weights do not depend on


SAME_PADDING = (
    "{} was trained with TensorFlow's 'SAME' padding: outputs are equal at sides of 32 n + 1 (225, 257, ...), and near "
    "elsewhere"
)


class Counterpart(NamedTuple):
    """A network of theirs that is one of ours: the same layers, and with the same weights the same outputs.

    Args:
        options: of ours; those that are not here have their defaults.
        batch_norm_eps: what their batch norms add to the variance.
        same_padding: they pad as TensorFlow's 'SAME', which is symmetric, as ours, only where a layer with stride 2
            meets an odd side.
        trained: they offer trained weights of it.
    """

    library: str
    theirs: str
    name: str
    options: Mapping[str, object] = MappingProxyType({})
    batch_norm_eps: float = 1e-5
    same_padding: bool = False
    trained: bool = True

    def __str__(self) -> str:
        return f"{self.library}'s {self.theirs}"

    @property
    def ours(self) -> str:
        """Text of our network: its name, and the options that are not defaults.

        Example:
            >>> Counterpart("timm", "mobilenetv2_050", "mobilenet_v2", {"width": 0.5}).ours
            'mobilenet_v2(width=0.5)'
        """
        options = ", ".join(f"{option}={value!r}" for option, value in self.options.items())
        return f"{self.name}({options})" if options else self.name

    def build(self) -> nn.Module:
        """Build theirs, without weights: on the meta device."""
        with on_meta_device():
            if self.library == "torchvision":
                from torchvision.models import get_model

                model: nn.Module = get_model(self.theirs, weights=None)
            else:
                model = require("timm", extra="timm").create_model(self.theirs, pretrained=False)
        return model

    def is_ours(self, name: str, options: Mapping[str, object]) -> bool:
        """Whether `create(name, **options)` is this network, but for the options that its weights do not depend on."""
        return self.name == name and _settled(name, options) == _settled(name, self.options)


def _settled(name: str, options: Mapping[str, object]) -> dict[str, object]:
    """Return the values of all options that decide on the network's weights."""
    entry = network(name)
    return {option: options.get(option, entry.default(option)) for option in entry.options if option not in FREE}


def _torchvision() -> Iterator[Counterpart]:
    yield Counterpart("torchvision", "squeezenet1_0", "squeezenet")
    yield Counterpart("torchvision", "squeezenet1_1", "squeezenet", {"version": "1.1"})
    yield Counterpart("torchvision", "mobilenet_v2", "mobilenet_v2")
    for size in ("large", "small"):
        yield Counterpart("torchvision", f"mobilenet_v3_{size}", f"mobilenet_v3_{size}", batch_norm_eps=1e-3)
    for width in (0.5, 1.0, 1.5, 2.0):
        theirs = f"shufflenet_v2_x{width:.1f}".replace(".", "_")
        yield Counterpart(
            "torchvision", theirs, "shufflenet_v2", {"width": width, "split": "equal", "classifier_bias": True}
        )
    for i in range(8):
        eps = 1e-5 if i < 5 else 1e-3
        yield Counterpart("torchvision", f"efficientnet_b{i}", f"efficientnet_b{i}", batch_norm_eps=eps)
    for size in ("s", "m", "l"):
        yield Counterpart("torchvision", f"efficientnet_v2_{size}", f"efficientnet_v2_{size}", batch_norm_eps=1e-3)
    for name in ("resnet18", "resnet50", "vgg16", "alexnet"):
        yield Counterpart("torchvision", name, name)
    for percent, theirs in ((50, "0_5"), (75, "0_75"), (100, "1_0"), (130, "1_3")):
        yield Counterpart("torchvision", f"mnasnet{theirs}", "mnasnet_b1", _width(percent))


def _timm() -> Iterator[Counterpart]:
    yield Counterpart("timm", "mobilenetv1_100", "mobilenet_v1")
    yield Counterpart("timm", "mobilenetv1_125", "mobilenet_v1", {"width": 1.25})
    for percent, trained in ((35, False), (50, True), (75, False), (100, True), (140, True)):
        yield Counterpart("timm", f"mobilenetv2_{percent:03}", "mobilenet_v2", _width(percent), trained=trained)
    for size, percent in (("large", 100), ("small", 100), ("small", 75)):
        yield Counterpart("timm", f"mobilenetv3_{size}_{percent:03}", f"mobilenet_v3_{size}", _width(percent))
    for size, percent in product(("large", "small"), (75, 100)):
        yield _tensorflow(f"tf_mobilenetv3_{size}_{percent:03}", f"mobilenet_v3_{size}", _width(percent))
    for size in ("large", "small"):
        yield _tensorflow(f"tf_mobilenetv3_{size}_minimal_100", f"mobilenet_v3_{size}", {"minimalistic": True})
    for percent, trained in ((50, False), (100, True), (130, False)):
        yield Counterpart("timm", f"ghostnet_{percent:03}", "ghostnet", _width(percent), trained=trained)
    for i in range(6):
        yield Counterpart("timm", f"efficientnet_b{i}", f"efficientnet_b{i}")
    for i in range(8):
        yield _tensorflow(f"tf_efficientnet_b{i}", f"efficientnet_b{i}")
    for size in ("s", "m", "l", "xl", "b0", "b1", "b2", "b3"):
        yield _tensorflow(f"tf_efficientnetv2_{size}", f"efficientnet_v2_{size}")
    yield Counterpart("timm", "legacy_xception", "xception")
    for name in ("resnet18", "resnet50", "vgg16"):
        yield Counterpart("timm", name, name)
    for percent in (50, 75, 100, 140):
        trained = percent in (75, 100)
        yield Counterpart("timm", f"semnasnet_{percent:03}", "mnasnet_a1", _width(percent), trained=trained)
        yield Counterpart("timm", f"mnasnet_{percent:03}", "mnasnet_b1", _width(percent), trained=percent == 100)
    yield Counterpart("timm", "mnasnet_small", "mnasnet_small")


def _width(percent: float) -> dict[str, object]:
    return {} if percent == 100 else {"width": percent / 100}


def _tensorflow(theirs: str, name: str, options: Mapping[str, object] = MappingProxyType({})) -> Counterpart:
    """Return a network whose weights timm has from TensorFlow."""
    return Counterpart("timm", theirs, name, options, batch_norm_eps=1e-3, same_padding=True)


COUNTERPARTS = (*_torchvision(), *_timm())


def counterparts(name: str, options: Mapping[str, object]) -> Iterator[Counterpart]:
    """Go through the networks of the installed libraries that are `create(name, **options)`."""
    for counterpart in COUNTERPARTS:
        if counterpart.is_ours(name, options) and find_spec(counterpart.library):
            yield counterpart


def recognize(name: str, options: Mapping[str, object], tensors: Mapping[str, Tensor]) -> list[Counterpart]:
    """Return the networks of one library that are `create(name, **options)` and whose tensors have these names."""
    for _, of_one in groupby(counterparts(name, options), key=lambda counterpart: counterpart.library):
        if found := [counterpart for counterpart in of_one if layout(counterpart).keys() == tensors.keys()]:
            return found
    return []


def other_options(name: str, tensors: Mapping[str, Tensor]) -> Counterpart | None:
    """Return the network with these names and shapes that is one of ours of this name, under whatever options."""
    shapes = {key: tensor.shape for key, tensor in tensors.items()}
    named = (counterpart for counterpart in COUNTERPARTS if counterpart.name == name and find_spec(counterpart.library))
    return next((counterpart for counterpart in named if layout(counterpart) == shapes), None)


def layout(counterpart: Counterpart) -> dict[str, torch.Size]:
    """Return the shapes of their tensors under their names, in their order, without counters of batches."""
    return _layout(counterpart.library, counterpart.theirs)


@cache
def _layout(library: str, theirs: str) -> dict[str, torch.Size]:
    state = Counterpart(library, theirs, "").build().state_dict()
    return {name: tensor.shape for name, tensor in state.items() if not name.endswith(COUNTERS)}


def trained_counterpart(library: str, name: str, options: Mapping[str, object]) -> Counterpart:
    """Find the network of a library that is `create(name, **options)` and comes with trained weights.

    Raises: ValueError: there is none; the message says what there is.

    Example:
        >>> str(trained_counterpart("timm", "mobilenet_v2", {"width": 0.5, "num_classes": 10}))
        "timm's mobilenetv2_050"
        >>> trained_counterpart("torchvision", "mobilenet_v2", {"width": 0.5})
        Traceback (most recent call last):
        ...
        ValueError: torchvision has no trained mobilenet_v2(width=0.5); it has mobilenet_v2, and timm has
        mobilenet_v2(width=0.5), ...
    """
    trained = [counterpart for counterpart in COUNTERPARTS if counterpart.trained]
    for counterpart in trained:
        if counterpart.library == library and counterpart.is_ours(name, options):
            return counterpart
    entry = network(name)
    chosen = {
        option: value for option, value in options.items() if option not in FREE and value != entry.default(option)
    }
    wanted = Counterpart(library, "", name, chosen).ours
    same_name = [counterpart for counterpart in trained if counterpart.name == name]
    if not same_name:
        names = sorted({counterpart.name for counterpart in trained if counterpart.library == library})
        raise ValueError(f"{library} has no trained {wanted}; it has those of {', '.join(names)}")
    there_is = [
        f"{'it' if there == library else there} has " + ", ".join(c.ours for c in same_name if c.library == there)
        for there in sorted(LIBRARIES, key=lambda there: there != library)
        if any(c.library == there for c in same_name)
    ]
    raise ValueError(f"{library} has no trained {wanted}; {', and '.join(there_is)}")
