"""Every network by name: `create`, `list_networks`, `analyze`, `load_weights`; one file per family."""

from . import efficientnet as efficientnet
from . import ghostnet as ghostnet
from . import mobilenet_v1 as mobilenet_v1
from . import mobilenet_v2 as mobilenet_v2
from . import mobilenet_v3 as mobilenet_v3
from . import shufflenet_v1 as shufflenet_v1
from . import shufflenet_v2 as shufflenet_v2
from . import squeezenet as squeezenet
from ._analyze import analyze
from ._features import FeatureExtractor
from ._listing import Counts, Variant, counts, list_networks, variants
from ._meta import on_meta_device
from ._registry import Network, Published, create, network, networks, register, rounds_to
from ._weights import load_model, load_weights, save_model

__all__ = [
    "Counts",
    "FeatureExtractor",
    "Network",
    "Published",
    "Variant",
    "analyze",
    "counts",
    "create",
    "list_networks",
    "load_model",
    "load_weights",
    "network",
    "networks",
    "on_meta_device",
    "register",
    "rounds_to",
    "save_model",
    "variants",
]
