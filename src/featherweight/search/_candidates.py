"""Which networks are worth trying for these pictures and this budget, by counted cost alone."""

import difflib
import fnmatch
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from featherweight.cost import analyze
from featherweight.networks import Network, create, networks, on_meta_device

from ._budget import Budget

WIDTHS = (0.25, 0.35, 0.5, 0.75, 1.0)
NARROW_HEAD = 256  # the wide last layers of the papers are for 1000 classes; small devices cannot hold them
RESOLUTIONS = (16, 24, 32, 48, 64, 96, 128, 160, 192, 224)
SMALL_INPUT_UP_TO = 64  # pixels; above it a network reduces its input 32 times, as in its paper

AUTO = "auto"
WORKHORSES = (
    "squeezenet", "mobilenet_*", "shufflenet_v1", "shufflenet_v2", "ghostnet", "efficientnet_b*",
)  # fmt: skip
"""What "auto" stands for: networks that are quick to try and hard to beat on small devices; the others on demand."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A network with its options at one resolution, and what it costs.

    Args:
        options: of `featherweight.create`, classes and input channels included.
        params: trainable parameters.
        multiply_adds: per picture.
        memory_bytes: largest sum of activations alive at once, as int8.
        size_bytes: estimate of the int8 file (see `int8_file_bytes`).
    """

    network: str
    family: str
    options: Mapping[str, object] = field(default_factory=dict)
    resolution: int
    params: int
    multiply_adds: int
    memory_bytes: int
    size_bytes: int

    @property
    def id(self) -> str:
        """Return a short name that tells candidates apart: `mobilenet_v1 0.25 @16`."""
        own = [f"{self.options['width']:g}"] if "width" in self.options else []
        own += [f"head {self.options['head_channels']}"] if self.options.get("head_channels") else []
        return " ".join([self.network, *own, f"@{self.resolution}"])

    def excess(self, budget: Budget, latency_seconds: float | None = None) -> dict[str, float]:
        """Return, for each limit of the budget that this candidate breaks, how many times it is over."""
        return budget.excess(
            latency_seconds=latency_seconds, size_bytes=self.size_bytes, memory_bytes=self.memory_bytes
        )


def resolutions_for(native_side: int) -> tuple[int, ...]:
    """Return the input sides worth trying for pictures of this (short) side, in pixels.

    From half of the pictures' own side, below which what they show is lost (96 pixels show most things), up to a
    quarter above it, since more pixels than that hold nothing new; never below 16, where a network has nothing to
    reduce.

    Example:
        >>> resolutions_for(8), resolutions_for(40), resolutions_for(500)
        ((16, 24, 32), (24, 32, 48), (96, 128, 160, 192, 224))
    """
    least, most = min(native_side / 2, 96), max(32, 1.25 * native_side)
    return tuple(side for side in RESOLUTIONS if least <= side <= most)


def int8_file_bytes(model: nn.Module) -> int:
    """Estimate the size of the int8 ONNX file of a network.

    One byte per weight; four bytes of bias, four of scale and one of zero point per output channel; and for each
    convolution or linear layer the text of its nodes (`BYTES_PER_LAYER`). Within 8 % of the files of nine
    networks of 0.2 to 4 MB.
    """
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    weights = sum(layer.weight.numel() for layer in layers)
    channels = sum(layer.weight.shape[0] for layer in layers)
    return weights + 9 * channels + BYTES_PER_LAYER * len(layers) + BYTES_OF_FILE


BYTES_PER_LAYER = 800
BYTES_OF_FILE = 3_000


def option_ladders(network: Network) -> Iterator[list[dict[str, object]]]:
    """Go through the choices of width and last layer worth trying, as ladders that go from narrow to wide.

    A network whose width is 1 by default is a family to choose a width from; one with another default (EfficientNet's
    B1 to B7) is a choice by itself.

    Example:
        >>> from featherweight.networks import network
        >>> [len(ladder) for ladder in option_ladders(network("mobilenet_v2"))]
        [5, 5]
    """
    scaled = "width" in network.options and network.default("width") == 1.0
    widths: Sequence[dict[str, object]] = [{"width": width} for width in WIDTHS] if scaled else [{}]
    heads: Sequence[dict[str, object]] = [{}]
    if "head_channels" in network.options:
        heads = [{}, {"head_channels": NARROW_HEAD}]
    for head in heads:
        yield [{**width, **head} for width in widths]


def candidates(
    *, num_classes: int, channels: int, native_side: int, budget: Budget, names: Sequence[str] = (AUTO,)
) -> tuple[list[Candidate], list[Candidate]]:
    """Count every network x width x resolution; return those within the budget, and the nearest of those over it.

    What is over the limit of size is given once for each family, at its smallest.
    Latency is not counted here: it is measured, by whoever calls, on the few that are left.

    Args:
        num_classes: of the pictures.
        channels: of the pictures; 1 for grey, 3 for colour.
        native_side: the pictures' own short side, in pixels.
        names: as `chosen` takes them.
    Raises: ValueError: one fits no network.
    """
    within: list[Candidate] = []
    over: list[Candidate] = []
    too_large: dict[str, _Built] = {}
    for network in chosen(names):
        for ladder in option_ladders(network):
            for options in ladder:
                built = list(_build(network, options, num_classes, channels, resolutions_for(native_side)))
                if built and all(budget.excess(size_bytes=one.size_bytes) for one in built):
                    family = [built[0], *([too_large[network.family]] if network.family in too_large else [])]
                    too_large[network.family] = min(family, key=lambda one: one.size_bytes)
                    break  # the wider ones are larger still
                for one in (counted for form in built for counted in form.at_each_resolution()):
                    (over if one.excess(budget) else within).append(one)
    return within, over + [next(built.at_each_resolution()) for built in too_large.values()]


def chosen(names: Sequence[str]) -> list[Network]:
    """Return the networks that are named: by name, by a pattern with *, by family, or "auto" for `WORKHORSES`.

    Raises: ValueError: one names none; the message gives the nearest names.

    Example:
        >>> [network.name for network in chosen(["mobilenet_v3*"])]
        ['mobilenet_v3_large', 'mobilenet_v3_small']
        >>> len(chosen(["ghostnet"])), len(chosen(["GhostNet"]))
        (1, 4)
    """
    every = {network.name: network for network in networks()}
    found: set[str] = set()
    for pattern in (one for name in names for one in (WORKHORSES if name == AUTO else [name])):
        fitting = [pattern] if pattern in every else [one.name for one in every.values() if _fits(one, pattern)]
        if not fitting:
            near = difflib.get_close_matches(pattern, every, n=3, cutoff=0.5)
            hint = f"did you mean {', '.join(near)}?" if near else "see `featherweight list`"
            raise ValueError(f"no network fits {pattern!r}; {hint}")
        found.update(fitting)
    return [network for name, network in every.items() if name in found]


def _fits(network: Network, pattern: str) -> bool:
    return fnmatch.fnmatchcase(network.name, pattern) or network.family.casefold() == pattern.casefold()


@dataclass(frozen=True)
class _Built:
    """A network on the meta device, and the resolutions that it is for."""

    network: Network
    model: nn.Module
    options: Mapping[str, object]
    resolutions: Sequence[int]
    size_bytes: int

    def at_each_resolution(self) -> Iterator[Candidate]:
        for side in self.resolutions:
            cost = analyze(self.model, side)
            yield Candidate(
                network=self.network.name, family=self.network.family, options=self.options, resolution=side,
                params=cost.params, multiply_adds=cost.multiply_adds, memory_bytes=cost.peak_memory_bytes["int8"],
                size_bytes=self.size_bytes,
            )  # fmt: skip


def _build(
    network: Network, options: Mapping[str, object], num_classes: int, channels: int, resolutions: Iterable[int]
) -> Iterator[_Built]:
    """Build the network without weights, once for small pictures and once for large ones, where both occur."""
    groups: dict[bool, list[int]] = {}
    for side in resolutions:
        groups.setdefault(side <= SMALL_INPUT_UP_TO, []).append(side)
    for small, sides in groups.items():
        every: dict[str, Any] = {**options, "num_classes": num_classes, "in_channels": channels, "small_input": small}
        try:
            with on_meta_device():
                model = create(network.name, **every)
        except ValueError:
            continue  # a width that this network does not have: its groups would not divide
        yield _Built(network, model, every, sides, int8_file_bytes(model))


def shortlist(found: Sequence[Candidate], *, multiply_adds: float, count: int) -> list[Candidate]:
    """Choose a varied few: from each family in turn the candidate whose cost is nearest to the target.

    A network that is too small wastes the budget, one that is too large cannot be trained in the time there is; so
    each family offers the candidate nearest to `multiply_adds`, on a log scale, where above the target counts double.
    The first round takes one from each family, the next rounds a second and third, until there are `count`.

    Args:
        multiply_adds: per picture, that can be trained well in the time there is.
        count: how many at most.
    """

    def distance(one: Candidate) -> float:
        ratio = math.log(one.multiply_adds / multiply_adds)
        return 2 * ratio if ratio > 0 else -ratio

    families: dict[str, list[Candidate]] = {}
    for one in sorted(found, key=distance):
        families.setdefault(one.family, []).append(one)
    rounds = max((len(ranked) for ranked in families.values()), default=0)
    in_turn = [
        one
        for number in range(rounds)
        for one in sorted((ranked[number] for ranked in families.values() if number < len(ranked)), key=distance)
    ]
    return in_turn[:count]


def nearest(
    over: Sequence[Candidate], budget: Budget, latencies: Mapping[str, float]
) -> tuple[Candidate, dict[str, float]]:
    """Return the candidate that breaks the budget least, with how many times it is over each limit."""
    best = min(over, key=lambda one: max(one.excess(budget, latencies.get(one.id)).values()))
    return best, best.excess(budget, latencies.get(best.id))
