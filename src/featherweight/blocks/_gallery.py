"""One small example of each block, to look at: its steps, and what reaches what in it."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import nn

from ._adder import AdderConv2d
from ._channel_wise import ChannelWiseConv, DepthwiseSeparableChannelWise, GroupChannelWiseModule, GroupModule
from ._comp_conv import CompConv
from ._conv import ConvNormAct, DepthwiseSeparable
from ._effnet import EffNetBlock
from ._fire import Fire
from ._fused_inverted_residual import FusedInvertedResidual
from ._ghost import GhostBottleneck, GhostModule
from ._interleaved import InterleavedGroupConv
from ._interleaved_low_rank import InterleavedLowRankGroupConv
from ._interleaved_sparse import InterleavedSparseConv
from ._inverted_residual import InvertedResidual
from ._learned_group_conv import CondenseLayer, LearnedGroupConv
from ._micro import MicroBlockA, MicroBlockB, MicroBlockC, MicroDepthwise, MicroExpansion
from ._mitchell import MitchellConv2d
from ._residual import BasicBlock, BottleneckBlock
from ._shift_max import DynamicShiftMax
from ._shuffle import ShuffleUnitV1, ShuffleUnitV2
from ._squeeze_excite import SqueezeExcite
from ._squeezenext import SqNxtBlock
from ._xception import SeparableConv, XceptionBlock


class Example(NamedTuple):
    """A block at a size at which one can see through it.

    Args:
        title: the block in a few words.
        make: builds it.
        in_channels: that it takes.
        note: what to look for.
    """

    title: str
    make: Callable[[], nn.Module]
    in_channels: int
    note: str


_C = 12  # channels of most examples: divides into 2, 3, 4 and 6 groups


def _condensed() -> LearnedGroupConv:
    """Make a layer that has dropped its inputs; always the same ones."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer = LearnedGroupConv(_C, _C, groups=3)
    layer.condense_to(1)
    return layer.eval()


GALLERY: Mapping[str, Example] = MappingProxyType(
    {
        "ConvNormAct": Example(
            "ordinary 3x3 convolution", partial(ConvNormAct, _C, _C, kernel_size=3), _C,
            "Every output reads every input channel in 3 x 3 pixels: what all others save on.",
        ),
        "ConvNormAct-1x1": Example(
            "1x1 convolution", partial(ConvNormAct, _C, _C), _C,
            "Mixes all channels and sees one pixel.",
        ),
        "ConvNormAct-grouped": Example(
            "grouped 3x3 convolution", partial(ConvNormAct, _C, _C, kernel_size=3, groups=3), _C,
            "Three convolutions side by side, which learn nothing of each other.",
        ),
        "ConvNormAct-depthwise": Example(
            "3x3 depthwise convolution", partial(ConvNormAct, _C, _C, kernel_size=3, groups=_C), _C,
            "Each channel by itself: sees 3 x 3 pixels and mixes nothing.",
        ),
        "BasicBlock": Example(
            "basic block of ResNet", partial(BasicBlock, _C, _C), _C,
            "Two 3x3 layers see 5 x 5 pixels; the shortcut makes the diagonal and the centre pixel strong.",
        ),
        "BottleneckBlock": Example(
            "bottleneck of ResNet", partial(BottleneckBlock, _C, _C), _C,
            "All channels through a quarter of them, around which the input passes by.",
        ),
        "Fire": Example(
            "fire module of SqueezeNet",
            partial(Fire, _C, squeeze_channels=4, expand1x1_channels=6, expand3x3_channels=6), _C,
            "Half of the outputs see one pixel, the others 3 x 3, all through four squeezed channels.",
        ),
        "SeparableConv": Example(
            "separable convolution of Xception", partial(SeparableConv, _C, _C), _C,
            "Depthwise, then 1x1, with nothing between.",
        ),
        "XceptionBlock": Example(
            "block of Xception", partial(XceptionBlock, _C, _C), _C,
            "Two separable convolutions and the input.",
        ),
        "DepthwiseSeparable": Example(
            "depthwise separable convolution of MobileNetV1", partial(DepthwiseSeparable, _C, _C), _C,
            "Links like those of an ordinary 3x3 convolution, at about a ninth of its cost.",
        ),
        "ShuffleUnitV1": Example(
            "unit of ShuffleNet", partial(ShuffleUnitV1, 2 * _C, 2 * _C, groups=3), 2 * _C,
            "After the shuffle each group reads two of the three; the diagonal is the shortcut.",
        ),
        "ShuffleUnitV1-stride2": Example(
            "unit of ShuffleNet, halving the picture", partial(ShuffleUnitV1, _C, 2 * _C, groups=2, stride=2), _C,
            "The input, averaged, is joined to the branch: the diagonal in front.",
        ),
        "InterleavedGroupConv": Example(
            "interleaved group convolution of IGCV1",
            partial(InterleavedGroupConv, _C, _C, primary_partitions=4, secondary_partitions=3), _C,
            "Neither layer is dense, but each pair of channels is joined by exactly one path: all links are there.",
        ),
        "LearnedGroupConv": Example(
            "learned group convolution of CondenseNet, condensed", _condensed, _C,
            "Each of three groups has kept the four inputs that matter most to it; the outputs take turns.",
        ),
        "CondensedConv": Example(
            "learned group convolution of CondenseNet, for use", lambda: _condensed().convert(), _C,
            "The same links: an index fetches each group's inputs for a convolution in groups.",
        ),
        "CondenseLayer": Example(
            "layer of CondenseNet", partial(CondenseLayer, _C, 4, groups=2, converted=True), _C,
            "The input passes by, and four channels are put behind it.",
        ),
        "SqNxtBlock": Example(
            "block of SqueezeNext", partial(SqNxtBlock, _C, _C), _C,
            "3x1 and 1x3 behind one another see the 3 x 3 pixels of one 3x3 kernel.",
        ),
        "InterleavedSparseConv": Example(
            "interleaved structured sparse convolution of IGCV2",
            partial(InterleavedSparseConv, 16, 16, group_sizes=(4, 4)), 16,
            "As IGCV1's, with a chain of 1x1 layers in small groups.",
        ),
        "InterleavedLowRankGroupConv": Example(
            "interleaved low-rank group convolution of IGCV3",
            partial(InterleavedLowRankGroupConv, _C, _C, hidden_channels=2 * _C), _C,
            "An inverted residual whose 1x1 layers work in two groups; the permutation between joins the groups.",
        ),
        "ChannelWiseConv": Example(
            "channel-wise convolution of ChannelNet", partial(ChannelWiseConv, _C, _C, kernel_size=5), _C,
            "One short filter slides along the channels: each output reads its neighbours.",
        ),
        "ChannelWiseConv-grouped": Example(
            "group channel-wise convolution of ChannelNet",
            partial(ChannelWiseConv, _C, _C, kernel_size=6, groups=3), _C,
            "Three filters, each of which goes over all channels in steps of three: every group sees all groups.",
        ),
        "DepthwiseSeparableChannelWise": Example(
            "depthwise separable channel-wise convolution of ChannelNet",
            partial(DepthwiseSeparableChannelWise, _C, _C, channel_kernel_size=5), _C,
            "Neighbouring channels only, in 3 x 3 pixels.",
        ),
        "GroupModule": Example(
            "group module of ChannelNet", partial(GroupModule, _C), _C,
            "Two separable convolutions in each of two groups, which do not see each other.",
        ),
        "GroupChannelWiseModule": Example(
            "group channel-wise module of ChannelNet", partial(GroupChannelWiseModule, _C), _C,
            "A channel-wise convolution in front lets the two groups see each other.",
        ),
        "InvertedResidual": Example(
            "inverted residual of MobileNetV2", partial(InvertedResidual, _C, _C, hidden_channels=2 * _C), _C,
            "Narrow at both ends, wide and depthwise between; the input is added, so the diagonal and the centre pixel "
            "are strongest.",
        ),
        "InvertedResidual-attention": Example(
            "inverted residual of MobileNetV3, with squeeze-excite",
            partial(
                InvertedResidual, _C, _C, hidden_channels=2 * _C, kernel_size=5, activation="hard_swish",
                attention=partial(SqueezeExcite, squeeze_channels=_C),
            ),
            _C,
            "5 x 5 pixels, and through the mean of the picture faintly all the others.",
        ),
        "FusedInvertedResidual": Example(
            "fused inverted residual of EfficientNetV2",
            partial(FusedInvertedResidual, _C, _C, hidden_channels=2 * _C), _C,
            "One ordinary 3x3 convolution in the place of the expanding and the depthwise layer: the same links.",
        ),
        "EffNetBlock": Example(
            "block of EffNet", partial(EffNetBlock, _C, _C), _C,
            "1x3, pooling, 3x1 and 1x2: rows and columns are halved one after the other.",
        ),
        "SqueezeExcite": Example(
            "squeeze-excite of SENet", partial(SqueezeExcite, _C, 4), _C,
            "Each value scales itself; every other channel and pixel has a faint say in how much.",
        ),
        "ShuffleUnitV2": Example(
            "unit of ShuffleNet V2", partial(ShuffleUnitV2, _C, _C), _C,
            "Half of the channels pass by untouched and are dealt out between the others.",
        ),
        "ShuffleUnitV2-stride2": Example(
            "unit of ShuffleNet V2, halving the picture", partial(ShuffleUnitV2, _C, 2 * _C, stride=2), _C,
            "Both branches read all channels, which become twice as many.",
        ),
        "GhostModule": Example(
            "ghost module of GhostNet", partial(GhostModule, _C, _C), _C,
            "Half of the outputs are computed from one pixel; the ghosts see 3 x 3 pixels of those.",
        ),
        "GhostBottleneck": Example(
            "bottleneck of GhostNet", partial(GhostBottleneck, _C, _C, hidden_channels=2 * _C), _C,
            "Two ghost modules see 5 x 5 pixels without a depthwise layer between them.",
        ),
        "DynamicShiftMax": Example(
            "Dynamic Shift-Max of MicroNet", partial(DynamicShiftMax, _C, groups=3), _C,
            "Each channel and one of the next group; how much of each, the whole picture has a faint say in.",
        ),
        "MicroDepthwise": Example(
            "factorized depthwise convolution of MicroNet", partial(MicroDepthwise, _C), _C,
            "A column, then a row of weights: 3 x 3 pixels from 3 + 3 weights.",
        ),
        "MicroBlockA": Example(
            "Micro-Block A of MicroNet", partial(MicroBlockA, 4, 8, groups=(4, 2, 2)), 4,
            "Depthwise layers widen, and one layer in groups squeezes.",
        ),
        "MicroExpansion": Example(
            "expanding half of a factorized 1x1 layer of MicroNet", partial(MicroExpansion, 8, 16, groups=(2, 2)), 8,
            "A layer in two groups, which Dynamic Shift-Max lets see each other.",
        ),
        "MicroBlockB": Example(
            "Micro-Block B of MicroNet",
            partial(MicroBlockB, 4, 16, squeeze_channels=8, groups=(4, 2, 2, 2, 2)), 4,
            "Block A with the expanding half behind it.",
        ),
        "MicroBlockC": Example(
            "Micro-Block C of MicroNet", partial(MicroBlockC, 8, 8, hidden_channels=16, groups=(4, 4, 4, 4)), 8,
            "Expand in groups, filter depthwise, squeeze in groups; Dynamic Shift-Max and shuffles join the groups.",
        ),
        "AdderConv2d": Example(
            "adder convolution of AdderNet", partial(AdderConv2d, _C, _C, kernel_size=3), _C,
            "The links of an ordinary convolution, without a multiplication.",
        ),
        "MitchellConv2d": Example(
            "convolution with products by addition", partial(MitchellConv2d, 6, 6, kernel_size=3), 6,
            "The links of an ordinary convolution, with integer additions in the place of multiplications.",
        ),
        "CompConv": Example(
            "compact convolution of CompConv", partial(CompConv, _C, _C, depth=2), _C,
            "Some outputs are copies of inputs, others are computed once, twice or three times over.",
        ),
    }
)  # fmt: skip
"""By the name of the block's class, with the form behind a dash where there are several."""
