"""Which networks there are: `register` writes them down, `create` builds one, `list_networks` finds them."""

import copy
import difflib
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from numbers import Integral, Real
from typing import TypeVar

from torch import nn


@dataclass(frozen=True, kw_only=True)
class Published:
    """One printed row on a network: what a paper or its authors' README says of one choice of options.

    Numbers are kept as they are printed, with their unit ("3.4M", "0.39B"), because the printed digits are what a
    count is held against: a count agrees if it rounds to them.

    Args:
        options: of `create` that give this row's network.
        resolution: side of the square input, in pixels.
        params: trainable parameters.
        multiply_adds: multiply-adds per image.
        operations: for a source that counts a multiplication and an addition as two operations.
        additions: of layers that add in the place of multiplying, per image.
        dataset: that the accuracy is on.
        top1: accuracy in percent, as the source trained it; `top5` likewise. A printed error is taken from 100.
        source: table of the paper, or whose README.
        deviation: why a number of this row is not our count; None where all agree.
    """

    options: Mapping[str, object] = field(default_factory=dict)
    resolution: int = 224
    params: str | None = None
    multiply_adds: str | None = None
    operations: str | None = None
    additions: str | None = None
    dataset: str = "ImageNet"
    top1: float | None = None
    top5: float | None = None
    source: str
    deviation: str | None = None


_UNITS = {"K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9}


def rounds_to(count: int, printed: str) -> bool:
    """Whether a count agrees with a printed number: it rounds to the printed digits. Exactly half agrees both ways.

    Raises: ValueError: printed is not a number with or without one of the units K, M, G, B.

    Example:
        >>> rounds_to(3_470_760, "3.47M"), rounds_to(3_470_760, "3.4M"), rounds_to(1_248_424, "1,248,424")
        (True, False, True)
    """
    value, last_digit = read_printed(printed)
    return abs(count - value) * 2 <= last_digit


def read_printed(printed: str) -> tuple[Fraction, Fraction]:
    """Read a printed number, and what one step of its last digit is worth.

    Raises: ValueError: printed is not a number with or without one of the units K, M, G, B.

    Example:
        >>> read_printed("3.4M")
        (Fraction(3400000, 1), Fraction(100000, 1))
    """
    match = re.fullmatch(r"(\d+(?:\.(\d+))?)([KMGB]?)", printed.replace(",", ""))
    if not match:
        raise ValueError(f"not a printed number: {printed!r}; understood: 3.4M, 0.39B, 1,248,424")
    number, decimals, unit = match.groups()
    scale = Fraction(_UNITS.get(unit, 1))
    return Fraction(number) * scale, scale / 10 ** len(decimals or "")


@dataclass(frozen=True, kw_only=True)
class Network:
    """A registered network: how to build it, and what was printed about it.

    Args:
        builds_on: what its family builds on, and what it takes from each, in one line. Names are other families of
            the registry, or of `ANCESTORS`.
        reference: a plain network, not a lightweight one, that is here to compare with.
    """

    name: str
    family: str
    paper: str
    year: int
    build: Callable[..., nn.Module]
    published: tuple[Published, ...]
    resolution: int
    builds_on: Mapping[str, str]
    reference: bool

    @property
    def idea(self) -> str:
        """What is new in the family, in a few sentences: the docstring of its file, without the first line."""
        text = inspect.cleandoc(sys.modules[self.build.__module__].__doc__ or "")
        return " ".join(text.partition("\n")[2].split())

    @cached_property
    def _parameters(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self.build).parameters

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options that `create` takes for this network."""
        return tuple(self._parameters)

    def default(self, option: str) -> object:
        """Return the default of an option."""
        return self._parameters[option].default

    def check_options(self, names: Iterable[str]) -> None:
        """Hold names of options against those that the network takes.

        Raises: TypeError: one is unknown; the message gives the nearest and all.
        """
        for option in names:
            if option not in self.options:
                near = difflib.get_close_matches(option, self.options, n=1)
                hint = f", did you mean {near[0]!r}?" if near else "."
                raise TypeError(f"{self.name} has no option {option!r}{hint} It takes: {', '.join(self.options)}")


_NETWORKS: dict[str, Network] = {}

Builder = TypeVar("Builder", bound=Callable[..., nn.Module])


def register(
    *,
    family: str,
    paper: str,
    year: int,
    published: Sequence[Published] = (),
    resolution: int = 224,
    builds_on: Mapping[str, str] | None = None,
    reference: bool = False,
) -> Callable[[Builder], Builder]:
    """Enter the decorated function, under its own name, as a network.

    The function takes keyword-only options, all with defaults, among them `num_classes`, `in_channels`, `dropout` and
    `small_input`, and returns a module [N, in_channels, H, W] -> [N, num_classes].

    Args:
        family: networks of one paper share it.
        paper: address of the paper.
        year: of its first appearance.
        published: every printed row on it.
        resolution: side of the default input, in pixels.
        builds_on: families (or `ANCESTORS`) that this one builds on, with what it takes from each in one line; said
            once for each family.
        reference: a plain network to compare with.
    Raises: ValueError: a network of that name is there already.
    """

    def enter(build: Builder) -> Builder:
        name = build.__name__
        if name in _NETWORKS:
            raise ValueError(f"a network named {name!r} is registered already, by {_NETWORKS[name].build.__module__}")
        _NETWORKS[name] = Network(
            name=name, family=family, paper=paper, year=year, build=build, published=tuple(published),
            resolution=resolution, builds_on=dict(builds_on or {}), reference=reference,
        )  # fmt: skip
        return build

    return enter


def network(name: str) -> Network:
    """Return the registry's entry of that name.

    Raises: ValueError: unknown name; the message gives the nearest known ones.

    Example:
        >>> network("mobilenet_v2").year
        2018
        >>> network("mobilenetv2")
        Traceback (most recent call last):
        ...
        ValueError: unknown network 'mobilenetv2'; did you mean mobilenet_v2, ...
    """
    if name not in _NETWORKS:
        near = difflib.get_close_matches(str(name), _NETWORKS, n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(sorted(_NETWORKS))}"
        raise ValueError(f"unknown network {name!r}; {hint}")
    return _NETWORKS[name]


def networks() -> Iterator[Network]:
    """Go through all registered networks in the order of their names."""
    for name in sorted(_NETWORKS):
        yield _NETWORKS[name]


_SHARES = ("dropout", "drop_path")


def _check_values(entry: Network, options: Mapping[str, object]) -> None:
    """Refuse what rounding and PyTorch would let pass; what is asked of an option, its default tells.

    Raises: ValueError: a share outside [0, 1), a scale or a count that is not above 0, what is neither True nor False.
    """
    for option, value in options.items():
        default = entry.default(option)
        count = option == "head_channels" or (isinstance(default, int) and not isinstance(default, bool))
        least = 0 if option == "num_classes" else 1
        if isinstance(default, bool) and not isinstance(value, bool):
            wanted = "True or False"
        elif option == "table" and value is not None and not (isinstance(value, Sequence) and value):
            wanted = "rows of a layer table"
        elif option in _SHARES and not (isinstance(value, Real) and 0 <= float(value) < 1):
            wanted = "a share in [0, 1)"
        elif count and value != default and not (isinstance(value, Integral) and int(value) >= least):
            wanted = f"a whole number, {least} or more"
        elif isinstance(default, float) and option not in _SHARES and not _is_positive(value):
            wanted = "a number above 0"
        else:
            continue
        raise ValueError(f"{option} of {entry.name} must be {wanted}; got {value!r}")


def _is_positive(value: object) -> bool:
    return isinstance(value, Real) and 0 < float(value) < float("inf")


def create(
    name: str,
    *,
    features_only: bool = False,
    out_indices: Sequence[int] | None = None,
    weights: str | os.PathLike[str] | None = None,
    **options: object,
) -> nn.Module:
    """Build a network, with freshly drawn weights or with trained ones.

    Trained weights for other input channels are made to fit, and a classifier for another number of classes is left
    out, with a `WeightsWarning`; see `load_weights`.

    Args:
        name: one of `list_networks()`.
        features_only: give the feature maps at each stride instead of class scores (see `FeatureExtractor`).
        out_indices: which of these maps; negative counts from the last. Default: all.
        weights: "torchvision" or "timm" for that library's default weights of this network, which it fetches once and
            keeps in its cache; or the path of a file (`load_weights` says which, and takes a `batch_norm_eps` that a
            file does not know).
        options: the network's own (`width=0.5`) and those that all have: `num_classes`, `in_channels`, `dropout`,
            `small_input`.
    Raises:
        ValueError: unknown name, or an option's value that the network cannot have; weights that do not fit, or a
            library that has none of this network with these options.
        TypeError: unknown option; the message lists those that the network takes.
        OSError: weights that are not there, or cannot be fetched.

    Example:
        >>> import torch
        >>> model = create("mobilenet_v2", width=0.35, num_classes=10, in_channels=1, small_input=True)
        >>> model(torch.zeros(2, 1, 32, 32)).shape
        torch.Size([2, 10])
        >>> create("mobilenet_v2", widht=0.35)
        Traceback (most recent call last):
        ...
        TypeError: mobilenet_v2 has no option 'widht', did you mean 'width'? It takes: width, ...
    """
    entry = network(name)
    entry.check_options(options)
    _check_values(entry, options)
    model = entry.build(**options)
    model.name, model.options = name, copy.deepcopy(options)  # type: ignore[assignment]
    if weights is not None:
        from ._pretrained import fill_from

        fill_from(weights, model)
    if features_only:
        from ._features import FeatureExtractor

        return FeatureExtractor(model, out_indices)
    if out_indices is not None:
        raise TypeError("out_indices chooses among feature maps: it needs features_only=True")
    return model
