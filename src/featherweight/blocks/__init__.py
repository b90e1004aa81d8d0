"""The networks' parts as public modules, named as in their papers."""

from ._channels import early_strides, round_channels, strides
from ._classifier import ClassifierHead, ImageClassifier, initialize
from ._conv import ACTIVATIONS, ConvNormAct, DepthwiseSeparable, activation
from ._inverted_residual import DropPath, InvertedResidual
from ._squeeze_excite import SqueezeExcite

__all__ = [
    "ACTIVATIONS",
    "ClassifierHead",
    "ConvNormAct",
    "DepthwiseSeparable",
    "DropPath",
    "ImageClassifier",
    "InvertedResidual",
    "SqueezeExcite",
    "activation",
    "early_strides",
    "initialize",
    "round_channels",
    "strides",
]
