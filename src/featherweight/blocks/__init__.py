"""The networks' parts as public modules, named as in their papers."""

from ._adder import AdderConv2d, set_adder_p
from ._channel_wise import (
    ChannelWiseConv,
    ConvClassifier,
    ConvClassifierHead,
    DepthwiseSeparableChannelWise,
    GroupChannelWiseModule,
    GroupModule,
)
from ._channels import early_strides, round_channels, strides
from ._classifier import ClassifierHead, ImageClassifier, initialize
from ._comp_conv import CompConv
from ._connectivity import Connectivity, Link, connectivity
from ._conv import ACTIVATIONS, ConvNormAct, DepthwiseSeparable, activation
from ._effnet import EffNetBlock
from ._fire import Fire
from ._fully_connected import FullyConnectedHead, GridPool
from ._fused_inverted_residual import FusedInvertedResidual
from ._gallery import GALLERY, Example
from ._ghost import GhostBottleneck, GhostModule
from ._interleaved import InterleavedGroupConv
from ._interleaved_low_rank import InterleavedLowRankGroupConv
from ._interleaved_sparse import (
    InterleavedSparseConv,
    balanced_group_sizes,
    balanced_weights,
    best_number_of_layers,
)
from ._inverted_residual import DropPath, InvertedResidual
from ._learned_group_conv import CondensedConv, CondenseLayer, LearnedGroupConv, NormAct
from ._micro import MicroBlockA, MicroBlockB, MicroBlockC, MicroDepthwise, MicroExpansion
from ._micro_ends import MicroHead, MicroStem
from ._mitchell import MitchellConv2d, MitchellLinear
from ._mitchell_norm import MitchellAvgPool2d, MitchellBatchNorm2d
from ._narrow import set_widths
from ._normed_head import NormedClassifierHead
from ._residual import BasicBlock, BottleneckBlock, PadShortcut, with_norm
from ._shift_max import DynamicShiftMax
from ._shuffle import ShuffleUnitV1, ShuffleUnitV2, channel_shuffle
from ._squeeze_excite import SqueezeExcite
from ._squeezenext import SqNxtBlock
from ._structure import Step, in_words, structure
from ._wiring import Row, levels, wiring
from ._xception import SeparableConv, XceptionBlock

__all__ = [
    "ACTIVATIONS",
    "GALLERY",
    "AdderConv2d",
    "BasicBlock",
    "BottleneckBlock",
    "ChannelWiseConv",
    "ClassifierHead",
    "CompConv",
    "CondenseLayer",
    "CondensedConv",
    "Connectivity",
    "ConvClassifier",
    "ConvClassifierHead",
    "ConvNormAct",
    "DepthwiseSeparable",
    "DepthwiseSeparableChannelWise",
    "DropPath",
    "DynamicShiftMax",
    "EffNetBlock",
    "Example",
    "Fire",
    "FullyConnectedHead",
    "FusedInvertedResidual",
    "GhostBottleneck",
    "GhostModule",
    "GridPool",
    "GroupChannelWiseModule",
    "GroupModule",
    "ImageClassifier",
    "InterleavedGroupConv",
    "InterleavedLowRankGroupConv",
    "InterleavedSparseConv",
    "InvertedResidual",
    "LearnedGroupConv",
    "Link",
    "MicroBlockA",
    "MicroBlockB",
    "MicroBlockC",
    "MicroDepthwise",
    "MicroExpansion",
    "MicroHead",
    "MicroStem",
    "MitchellAvgPool2d",
    "MitchellBatchNorm2d",
    "MitchellConv2d",
    "MitchellLinear",
    "NormAct",
    "NormedClassifierHead",
    "PadShortcut",
    "Row",
    "SeparableConv",
    "ShuffleUnitV1",
    "ShuffleUnitV2",
    "SqNxtBlock",
    "SqueezeExcite",
    "Step",
    "XceptionBlock",
    "activation",
    "balanced_group_sizes",
    "balanced_weights",
    "best_number_of_layers",
    "channel_shuffle",
    "connectivity",
    "early_strides",
    "in_words",
    "initialize",
    "levels",
    "round_channels",
    "set_adder_p",
    "set_widths",
    "strides",
    "structure",
    "wiring",
    "with_norm",
]
