"""Steps are read from the module: held against what each block's paper draws."""

import pytest
import torch
from torch import nn

from featherweight.blocks import (
    GALLERY,
    ConvNormAct,
    DropPath,
    Fire,
    InvertedResidual,
    ShuffleUnitV1,
    ShuffleUnitV2,
    SqueezeExcite,
    in_words,
    structure,
)


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (ConvNormAct(8, 16, kernel_size=5, stride=2, groups=4), "5x5 in 4 groups up, stride 2, BN, ReLU"),
        (InvertedResidual(8, 8, hidden_channels=48),
         "1x1 up, BN, ReLU6 | 3x3 depthwise, BN, ReLU6 | 1x1 down, BN | add"),
        (InvertedResidual(8, 12, hidden_channels=8, stride=2), "3x3 depthwise, stride 2, BN, ReLU6 | 1x1 up, BN"),
        (InvertedResidual(8, 12, hidden_channels=16, attention=lambda c: SqueezeExcite(c, 4), activation="hard_swish"),
         "1x1 up, BN, h-swish | 3x3 depthwise, BN, h-swish | squeeze-excite | 1x1 down, BN"),
        (SqueezeExcite(8, 2, activation="silu", gate="sigmoid"), "mean | 1x1 down, SiLU | 1x1 up, sigmoid | scale"),
        (Fire(8, squeeze_channels=2, expand1x1_channels=4, expand3x3_channels=4, bypass=True),
         "1x1 down, ReLU | 1x1 up // 3x3 up | join, ReLU | add"),
        (ShuffleUnitV1(8, 16, groups=2, stride=2),
         "1x1 in 2 groups down, BN, ReLU | shuffle | 3x3 depthwise, stride 2, BN | 1x1 in 2 groups up, BN "
         "// 3x3 average, stride 2 // ReLU | join"),
        (ShuffleUnitV2(8, 8), "split | 1x1, BN, ReLU | 3x3 depthwise, BN | 1x1, BN, ReLU | join | shuffle"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)  # fmt: skip
def test_steps_are_those_of_the_paper(block: nn.Module, words: str) -> None:
    assert in_words(structure(block, 8)) == words


def test_a_step_says_what_it_reads_and_where_it_is() -> None:
    steps = structure(ShuffleUnitV2(8, 8), 8)
    join = next(step for step in steps if step.operation == "join")
    assert [steps[number - 1].operation for number in join.reads] == ["split", "ReLU"]
    assert [step.module for step in steps if step.kernel_size] == ["pointwise.conv", "depthwise.conv", "project.conv"]
    add = structure(InvertedResidual(8, 8, hidden_channels=16), 8)[-1]
    assert 0 in add.reads


def test_channels_go_up_and_down() -> None:
    steps = structure(InvertedResidual(8, 8, hidden_channels=48), 8)
    assert [step.channels for step in steps if step.kernel_size] == ["up", "same", "down"]


def test_an_unknown_operator_keeps_its_own_name() -> None:
    class Fold(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.cumsum(1)

    assert in_words(structure(Fold(), 4)) == "cumsum"


def test_what_does_nothing_in_evaluation_is_no_step() -> None:
    block = nn.Sequential(nn.Identity(), DropPath(0.5), nn.Dropout(0.1), nn.ReLU())
    assert in_words(structure(block, 4)) == "ReLU"


@pytest.mark.parametrize("name", GALLERY)
def test_the_block_is_left_alone_and_every_operator_is_known(name: str) -> None:
    example = GALLERY[name]
    block = example.make()
    training = block.training
    assert "_" not in in_words(structure(block, example.in_channels))
    assert block.training == training
    assert all(not parameter.is_meta for parameter in block.parameters())
