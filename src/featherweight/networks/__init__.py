"""Every network by name: `create`, `list_networks`, `analyze`, `load_weights`; one file per family."""

from . import addernet as addernet
from . import alexnet as alexnet
from . import channelnet as channelnet
from . import condensenet as condensenet
from . import efficientnet as efficientnet
from . import efficientnet_v2 as efficientnet_v2
from . import effnet as effnet
from . import fd_mobilenet as fd_mobilenet
from . import ghost_variants as ghost_variants
from . import ghostnet as ghostnet
from . import igcv1 as igcv1
from . import igcv2 as igcv2
from . import igcv3 as igcv3
from . import lenet as lenet
from . import micronet as micronet
from . import mnasnet as mnasnet
from . import mobilenet_v1 as mobilenet_v1
from . import mobilenet_v2 as mobilenet_v2
from . import mobilenet_v3 as mobilenet_v3
from . import resnet as resnet
from . import shufflenet_deep as shufflenet_deep
from . import shufflenet_v1 as shufflenet_v1
from . import shufflenet_v2 as shufflenet_v2
from . import squeezenet as squeezenet
from . import squeezenext as squeezenext
from . import vgg as vgg
from . import xception as xception
from ._analyze import analyze
from ._features import FeatureExtractor
from ._history import Edge, Family, History, history
from ._listing import Counts, Variant, counts, list_networks, variants
from ._meta import on_meta_device
from ._papers import Figure, PaperRow, compare, of_another_network, papers
from ._pretrained import FetchError
from ._random import random_network
from ._registry import Network, Published, create, network, networks, register, rounds_to
from ._saved import load_model, save_model
from ._weights import Loaded, WeightsWarning, load_weights
from .condensenet import condense

__all__ = [
    "Counts",
    "Edge",
    "Family",
    "FeatureExtractor",
    "FetchError",
    "Figure",
    "History",
    "Loaded",
    "Network",
    "PaperRow",
    "Published",
    "Variant",
    "WeightsWarning",
    "analyze",
    "compare",
    "condense",
    "counts",
    "create",
    "history",
    "list_networks",
    "load_model",
    "load_weights",
    "network",
    "networks",
    "of_another_network",
    "on_meta_device",
    "papers",
    "random_network",
    "register",
    "rounds_to",
    "save_model",
    "variants",
]
