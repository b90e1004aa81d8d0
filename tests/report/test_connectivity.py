"""Connectivity pictures: each kind of block looks as it should."""

from collections import Counter
from xml.etree import ElementTree

import pytest
from torch import nn

from featherweight.blocks import ConvNormAct, InterleavedGroupConv, InvertedResidual, SqueezeExcite
from featherweight.report import connectivity_picture

NAMESPACE = "{http://www.w3.org/2000/svg}"


def drawn(block: nn.Module, channels: int = 6) -> ElementTree.Element:
    return ElementTree.fromstring(connectivity_picture(block, channels, title="a <block>"))


def kinds(svg: ElementTree.Element, tag: str) -> Counter[str]:
    return Counter(element.get("class", "") for element in svg.iter(NAMESPACE + tag))


def texts(svg: ElementTree.Element) -> list[str]:
    return ["".join(element.itertext()) for element in svg.iter(NAMESPACE + "text")]


@pytest.mark.parametrize(
    ("block", "squares", "lines", "colours", "words"),
    [
        (ConvNormAct(6, 6, kernel_size=3), 36, 36, 1, "an output reads 6 of 6"),
        (ConvNormAct(6, 6, groups=3), 12, 12, 3, "3 groups that do not meet"),
        (ConvNormAct(6, 6, groups=6), 6, 6, 6, "6 groups that do not meet"),
        (InterleavedGroupConv(6, 6, primary_partitions=3, secondary_partitions=2), 36, 42, 1, "an output reads 6 of 6"),
    ],
    ids=["dense", "grouped", "depthwise", "interleaved"],
)
def test_channels_are_drawn(block: nn.Module, squares: int, lines: int, colours: int, words: str) -> None:
    svg = drawn(block)
    series = {kind: count for kind, count in kinds(svg, "rect").items() if kind[:1] == "s"}
    assert (sum(series.values()), len(series)) == (squares, colours)
    assert sum(kinds(svg, "line").values()) == lines
    assert words in texts(svg)


def test_pixels_are_drawn() -> None:
    svg = drawn(ConvNormAct(6, 6, kernel_size=5))
    assert kinds(svg, "rect")["pixel"] == 25
    assert "an output reads 5 x 5" in texts(svg)


def test_what_goes_through_the_mean_is_faint() -> None:
    svg = drawn(SqueezeExcite(6, 3))
    assert kinds(svg, "rect")["faint"] == 6 * 5 + 15 * 15 - 1
    assert texts(svg).count("and faintly all others") == 2


def test_a_shortcut_passes_the_steps_between() -> None:
    svg = drawn(InvertedResidual(6, 6, hidden_channels=12))
    assert kinds(svg, "line")["link l0 passing"] == 3 * 6
    assert [text for text in texts(svg) if text in ("1x1 up", "3x3 depthwise", "1x1 down", "add")] == [
        "1x1 up", "3x3 depthwise", "1x1 down", "add",
    ]  # fmt: skip


def test_the_title_is_text() -> None:
    assert "a <block>" in texts(drawn(ConvNormAct(2, 2), 2))
