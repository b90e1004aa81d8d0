"""SqueezeNext against the authors' files, and what the paper counts as multiply-adds."""

from math import prod

import pytest
import torch

from featherweight.blocks import SqNxtBlock
from featherweight.networks import Published, analyze, create, network, on_meta_device, rounds_to


@pytest.mark.parametrize(
    ("options", "params", "multiply_adds"),
    [
        ({}, 717_280, "278.00M"),
        ({"grouped": True}, 543_072, "224.19M"),
        ({"version": "5"}, 930_016, "224.92M"),
        ({"width": 2.0}, 2_361_728, "742.07M"),
        ({"width": 2.0, "version": "5"}, 3_222_912, "702.59M"),
    ],
)
def test_counts_are_those_of_the_authors_files(options: dict[str, object], params: int, multiply_adds: str) -> None:
    cost = analyze("squeezenext", **options)
    assert cost.params == params
    assert rounds_to(cost.multiply_adds, multiply_adds)


RELEASED = [row for row in network("squeezenext").published if row.multiply_adds and row.options["version"] in "15"]


@pytest.mark.parametrize("row", RELEASED, ids=lambda row: " ".join(map(str, row.options.values())))
def test_the_paper_counts_the_scaling_of_batch_norm_as_well(row: Published) -> None:
    cost = analyze("squeezenext", row.resolution, **row.options)
    scalings = sum(prod(layer.output_shape) for layer in cost.layers if layer.kind == "batch norm")
    assert row.multiply_adds and not rounds_to(cost.multiply_adds, row.multiply_adds)
    assert rounds_to(cost.multiply_adds + scalings, row.multiply_adds)


@pytest.mark.parametrize(("version", "blocks"), [("1", [6, 6, 8, 1]), ("4", [2, 10, 8, 1]), ("5", [2, 4, 14, 1])])
def test_stages_and_the_order_of_kernels(version: str, blocks: list[int]) -> None:
    with on_meta_device():
        model = create("squeezenext", version=version).eval()
    x = model.stem(torch.empty(1, 3, 227, 227, device="meta"))
    assert x.shape[1:] == ((64, 111, 111) if version == "1" else (64, 112, 112))
    shapes = []
    for module in model.body:
        x = module(x)
        if isinstance(module, SqNxtBlock):
            shapes.append(x.shape[1:])
    side = 55 if version == "1" else 56
    stages = [(32, side, side), (64, 28, 28), (128, 14, 14), (256, 7, 7)]
    assert shapes == [stage for stage, n in zip(stages, blocks, strict=True) for _ in range(n)]
    units = [module for module in model.body if isinstance(module, SqNxtBlock)]
    kernels = [unit.branch.filter1.conv.kernel_size for unit in units]
    assert kernels == [(3, 1), (1, 3)] * 10 + [(3, 1)]
    first_of_stage = [units.index(unit) for unit in units if unit.projection is not None]
    assert first_of_stage == [0, blocks[0], sum(blocks[:2]), sum(blocks[:3])]


def test_depths_of_34_and_44_layers() -> None:
    for depth, layers in ((1.0, 23), (1.5, 34), (2.0, 44)):
        with on_meta_device():
            body = create("squeezenext", depth=depth).body
        assert sum(isinstance(module, SqNxtBlock) for module in body) + 2 == layers


def test_unknown_version() -> None:
    with pytest.raises(ValueError, match="version must be one of 1, 2, 3, 4, 5; got '6'"):
        create("squeezenext", version="6")
