"""What the families build on besides each other: networks and parts that are not in the registry."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Ancestor(NamedTuple):
    """A work that families of the registry build on."""

    year: int  # of its first appearance
    paper: str


ANCESTORS: Mapping[str, Ancestor] = MappingProxyType(
    {
        "Network in Network": Ancestor(2013, "https://arxiv.org/abs/1312.4400"),
        "Inception": Ancestor(2014, "https://arxiv.org/abs/1409.4842"),
        "DenseNet": Ancestor(2016, "https://arxiv.org/abs/1608.06993"),
        "ResNeXt": Ancestor(2016, "https://arxiv.org/abs/1611.05431"),
        "NASNet": Ancestor(2017, "https://arxiv.org/abs/1707.07012"),
        "SENet": Ancestor(2017, "https://arxiv.org/abs/1709.01507"),
    }
)
"""By the name that `register(builds_on=...)` uses."""
