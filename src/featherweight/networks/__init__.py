"""Every network by name: `create`, `list_networks`; one file per family."""

from . import mobilenet_v1 as mobilenet_v1
from . import efficientnet as efficientnet
from . import ghostnet as ghostnet
from . import mobilenet_v2 as mobilenet_v2
from . import shufflenet_v1 as shufflenet_v1
from . import shufflenet_v2 as shufflenet_v2
from . import mobilenet_v3 as mobilenet_v3
from . import squeezenet as squeezenet
from ._registry import Network, Published, create, network, networks, register

__all__ = ["Network", "Published", "create", "network", "networks", "register"]
