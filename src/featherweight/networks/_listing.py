"""Finding networks: by name, family, year and cost."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ._analyze import analyze
from ._registry import Network, Published, network, networks

ADDER = "adder"  # the kind of layers that add in the place of multiplying
COUNTS_FILE = Path(__file__).with_name("counts.json")  # made by `python -m featherweight.networks`


class Counts(NamedTuple):
    """What is counted of a variant; `additions` are those of layers that add in the place of multiplying."""

    params: int
    multiply_adds: int
    additions: int = 0

    @property
    def terms(self) -> int:
        """How many terms are summed: multiply-adds, and pairs of additions (one to subtract, one to sum)."""
        return self.multiply_adds + self.additions // 2


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One choice of options and resolution that something was printed about, or a network's defaults.

    Args:
        name: of the network.
        options: those that differ from the network's defaults.
        resolution: side of the square input, in pixels.
        published: the printed rows on it; none for defaults that nobody printed anything about.
    """

    name: str
    options: Mapping[str, object]
    resolution: int
    published: tuple[Published, ...] = ()

    def __str__(self) -> str:
        words = [self.name, *(f"{option}={value}" for option, value in sorted(self.options.items()))]
        return f"{' '.join(words)} @{self.resolution}"


@cache
def variants() -> tuple[Variant, ...]:
    """Return every distinct network of the registry: its defaults, and each printed choice of options and resolution.

    Example:
        >>> [str(variant) for variant in variants() if variant.name == "mobilenet_v2"][:3]
        ['mobilenet_v2 @224', 'mobilenet_v2 width=1.4 @224', 'mobilenet_v2 width=1.3 @224']
    """
    found: dict[str, Variant] = {}
    for entry in networks():
        default = Variant(name=entry.name, options={}, resolution=entry.resolution)
        found[str(default)] = default
        for row in entry.published:
            variant = Variant(name=entry.name, options=_chosen(entry, row.options), resolution=row.resolution)
            rows = found.get(str(variant), variant).published
            found[str(variant)] = Variant(
                name=variant.name, options=variant.options, resolution=variant.resolution, published=(*rows, row)
            )
    return tuple(found.values())


def _chosen(entry: Network, options: Mapping[str, object]) -> dict[str, object]:
    """Leave out options that say what is the default anyway."""
    return {option: value for option, value in options.items() if value != entry.default(option)}


def counts(variant: Variant | str) -> Counts:
    """Return parameters and multiply-adds of a variant, or of a network with its defaults.

    They are read from a file that a test holds against the network; what is not in it is counted now.

    Raises: ValueError: unknown name.

    Example:
        >>> counts("mobilenet_v2")
        Counts(params=3504872, multiply_adds=300774272, additions=0)
    """
    if isinstance(variant, str):
        variant = Variant(name=variant, options={}, resolution=network(variant).resolution)
    return written_counts().get(str(variant)) or count(variant)


@cache
def written_counts() -> dict[str, Counts]:
    """Read the generated file: counts by the text of each variant."""
    return {variant: Counts(*numbers) for variant, numbers in json.loads(COUNTS_FILE.read_text("utf-8")).items()}


def count(variant: Variant) -> Counts:
    """Count parameters and multiply-adds of a variant by building and tracing it."""
    cost = analyze(variant.name, variant.resolution, **variant.options)
    additions = sum(layer.operations.additions for layer in cost.layers if layer.kind == ADDER)
    return Counts(cost.params, cost.multiply_adds, additions)


def list_networks(
    pattern: str = "*",
    *,
    family: str | None = None,
    max_params: int | None = None,
    max_multiply_adds: int | None = None,
    year: int | tuple[int, int] | None = None,
) -> list[str]:
    """Return the names of the networks that pass all filters, sorted.

    Args:
        pattern: of the name, with the wildcards * and ?.
        family: such as "MobileNetV3"; the case of letters does not matter.
        max_params: the most parameters, with the network's default options.
        max_multiply_adds: the most multiply-adds per image, with its default options and resolution; two additions of
            layers that add in the place of multiplying count as one.
        year: of the paper's first appearance; a pair is the first and the last year.
    Raises: ValueError: unknown family; the message lists the known ones.

    Example:
        >>> list_networks("mobilenet*", max_params=3_000_000)
        ['mobilenet_v3_small']
        >>> list_networks(year=(2016, 2016))
        ['squeezenet', 'xception']
    """
    families = sorted({entry.family for entry in networks()})
    if family is not None and family.lower() not in (known.lower() for known in families):
        raise ValueError(f"unknown family {family!r}; known: {', '.join(families)}")
    first, last = (year, year) if isinstance(year, int) else year or (0, 9999)
    return [
        entry.name
        for entry in networks()
        if fnmatchcase(entry.name, pattern)
        and (family is None or entry.family.lower() == family.lower())
        and first <= entry.year <= last
        and (max_params is None or counts(entry.name).params <= max_params)
        and (max_multiply_adds is None or counts(entry.name).terms <= max_multiply_adds)
    ]
