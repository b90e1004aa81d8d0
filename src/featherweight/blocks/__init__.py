"""The networks' parts as public modules, named as in their papers."""

from ._channels import early_strides, round_channels, strides
from ._classifier import ClassifierHead, ImageClassifier, initialize
from ._conv import ACTIVATIONS, ConvNormAct, DepthwiseSeparable, activation
from ._fire import Fire
from ._ghost import GhostBottleneck, GhostModule
from ._inverted_residual import DropPath, InvertedResidual
from ._shuffle import ShuffleUnitV1, ShuffleUnitV2, channel_shuffle
from ._squeeze_excite import SqueezeExcite

__all__ = [
    "ACTIVATIONS",
    "ClassifierHead",
    "ConvNormAct",
    "DepthwiseSeparable",
    "DropPath",
    "Fire",
    "GhostBottleneck",
    "GhostModule",
    "ImageClassifier",
    "InvertedResidual",
    "ShuffleUnitV1",
    "ShuffleUnitV2",
    "SqueezeExcite",
    "activation",
    "channel_shuffle",
    "early_strides",
    "initialize",
    "round_channels",
    "strides",
]
