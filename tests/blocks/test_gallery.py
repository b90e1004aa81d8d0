"""The gallery has every block, at a size at which one can see through it."""

import inspect

import pytest
import torch
from torch import nn

from featherweight import blocks
from featherweight.blocks import GALLERY, Example

NOT_BLOCKS = {
    "ImageClassifier": "a whole network",
    "ClassifierHead": "from pictures to classes",
    "ConvClassifier": "from pictures to classes",
    "ConvClassifierHead": "from pictures to classes",
    "MicroHead": "from pictures to classes",
    "MicroStem": "MicroDepthwise, and a shuffle, at the beginning",
    "FullyConnectedHead": "from pictures to classes",
    "NormedClassifierHead": "from pictures to classes",
    "NormAct": "works on each value by itself",
    "MitchellLinear": "has no pictures",
    "MitchellBatchNorm2d": "works on each value by itself",
    "MitchellAvgPool2d": "has no parameters",
    "DropPath": "changes nothing in evaluation",
    "GridPool": "has no parameters",
    "PadShortcut": "has no parameters",
}


def test_every_public_block_is_in_it() -> None:
    public = {name for name in blocks.__all__ if inspect.isclass(module := getattr(blocks, name))
              and issubclass(module, nn.Module)}  # fmt: skip
    shown = {type(example.make()).__name__ for example in GALLERY.values()}
    assert shown == public - NOT_BLOCKS.keys()


@pytest.mark.parametrize(("name", "example"), GALLERY.items(), ids=GALLERY)
def test_an_example_is_small_and_has_its_class_in_its_name(name: str, example: Example) -> None:
    block = example.make().eval()
    assert name.partition("-")[0] == type(block).__name__
    assert example.note.endswith(".")
    output = block(torch.randn(1, example.in_channels, 8, 8))
    assert output.ndim == 4
    assert max(example.in_channels, output.shape[1]) <= 24
