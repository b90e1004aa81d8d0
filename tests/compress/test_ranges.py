"""Which range of an activation a byte covers: brute force, the runtime's own rounding, and what takes no level."""

import numpy as np
import onnx
import onnx.reference
import pytest
import torch

from featherweight.compress._layers import Graph, outputs
from featherweight.compress._qdq import prepared
from featherweight.compress._ranges import (
    BINS,
    CUTS,
    Histogram,
    Observed,
    Range,
    choose_ranges,
    least_error,
    observe,
    rounded,
)
from featherweight.export import probe
from featherweight.networks import create

from .small import joined_model, pictures, small_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return small_model(tmp_path_factory.mktemp("ranges") / "model.onnx")


@pytest.mark.parametrize("kind", ["normal", "one-sided", "outliers"])
def test_the_range_of_least_error_is_that_of_brute_force(kind):
    draw = np.random.default_rng(0)
    values = draw.standard_t(3, 20_000) if kind == "outliers" else draw.normal(0.3, 1, 20_000)
    values = np.abs(values) if kind == "one-sided" else values
    counts, edges = np.histogram(values, BINS)
    histogram = Histogram(edges[0], edges[-1], counts)
    found = least_error(histogram)

    def error(low, high):
        return float((((rounded(histogram.centres, low, high)) - histogram.centres) ** 2 * counts).sum())

    lows, highs = min(edges[0], 0) * CUTS, edges[-1] * CUTS
    least = min(error(low, high) for low in lows for high in highs)
    assert error(*found) <= least * (1 + 1e-9)
    if kind == "outliers":
        assert found.highest < 0.97 * edges[-1]


def test_rounding_is_that_of_onnx_runtime():
    values = np.linspace(-3, 5, 1001)
    scale = (4.0 - -1.0) / 255
    node = onnx.helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"])
    back = onnx.helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"])
    evaluator = onnx.reference.ReferenceEvaluator(
        onnx.helper.make_model(onnx.helper.make_graph(
            [node, back], "g", [onnx.helper.make_tensor_value_info("x", 1, [1001])],
            [onnx.helper.make_tensor_value_info("y", 1, [1001])],
            [onnx.numpy_helper.from_array(np.float32(scale), "s"), onnx.numpy_helper.from_array(np.uint8(51), "z")],
        ))
    )  # fmt: skip
    [wanted] = evaluator.run(None, {"x": values.astype(np.float32)})
    assert np.abs(rounded(values, -1.0, 4.0) - wanted).max() < 1.01 * scale  # a tie may go either way
    assert np.mean(np.abs(rounded(values, -1.0, 4.0) - wanted) < 1e-6) > 0.99


def test_what_hard_swish_throws_away_takes_no_level(model):
    ranges = choose_ranges(model, observe(model, pictures() * 4), method="mse")
    grouped = next(layer for layer in Graph(model).layers() if layer.name == "grouped")
    values = outputs(model, pictures() * 4, grouped.output)
    assert values.min() < -4
    assert ranges[grouped.output].lowest > max(values.min() * 0.9, -3.6)


def test_what_is_joined_is_not_rounded_again(tmp_path):
    _, model = joined_model(tmp_path / "model.onnx")
    observed = observe(model, pictures())
    [join, *_] = [node for node in model.graph.node if node.op_type == "Concat"]
    for method in ("minmax", "percentile", "mse"):
        ranges = choose_ranges(model, observed, method=method)
        assert len({ranges[name] for name in (*join.input, *join.output)}) == 1
    assert len({observed.ends[name] for name in join.input}) == 2


@pytest.mark.parametrize(
    ("lowest", "highest", "zero"),
    [(-1.0, 1.2, 128), (-1.25, 1.0, 128), (-1.0, 1.5, 102), (0.0, 2.0, 0), (-2.0, 0.0, 255)],
)
def test_a_range_that_is_nearly_symmetric_becomes_so(model, lowest, highest, zero):
    name = Graph(model).layers()[0].output
    found = choose_ranges(model, Observed({name: Range(lowest, highest)}, {}), method="minmax")[name]
    assert found.lowest <= lowest
    assert found.highest >= highest
    step = (found.highest - found.lowest) / 255
    assert -found.lowest / step == pytest.approx(zero)
    assert step < 1.14 * (highest - lowest) / 255


def test_what_is_shuffled_between_concatenations_is_not_rounded_again(tmp_path):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = create("shufflenet_v2", width=0.5, num_classes=5, in_channels=1, small_input=True).eval()
    (tmp_path / "model.onnx").write_bytes(probe(network, (1, 16, 16), batch=8))
    model = prepared(tmp_path / "model.onnx")
    drawn = np.random.default_rng(0).normal(size=(8, 1, 16, 16)).astype(np.float32)
    ranges = choose_ranges(model, observe(model, drawn), method="minmax")
    joins = [node for node in model.graph.node if node.op_type == "Concat"]
    assert len(joins) == 16
    for join in joins:
        assert len({ranges[name] for name in (*join.input, *join.output)}) == 1
    split = [node for node in model.graph.node if node.op_type in ("Slice", "Split")]
    assert len(split) >= 13
    assert all(len({ranges[name] for name in (node.input[0], *node.output)}) == 1 for node in split)


def test_no_level_goes_to_what_relu_throws_away(model):
    observed = observe(model, pictures())
    into = {node.input[0]: node.output[0] for node in model.graph.node if node.op_type in ("Relu", "Clip")}
    assert len(into) == 3
    for method in ("minmax", "percentile", "mse"):
        ranges = choose_ranges(model, observed, method=method)
        assert all(ranges[before] == ranges[after] for before, after in into.items())
    assert all(observed.ends[before].lowest < 0 == ranges[before].lowest for before in into)
