"""Every network by name: `create`, `list_networks`; one file per family."""

from . import mobilenet_v2 as mobilenet_v2
from ._registry import Network, Published, create, network, networks, register

__all__ = ["Network", "Published", "create", "network", "networks", "register"]
