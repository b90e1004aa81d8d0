"""Equalization: the answers stay, the ranges get alike, and channels are followed to all that take them."""

import numpy as np
import pytest

from featherweight.compress._equalize import can_equalize, equalize, factors
from featherweight.compress._flow import channel_flow
from featherweight.compress._layers import Graph, outputs

from .small import copied, joined_model, pictures, small_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return small_model(tmp_path_factory.mktemp("equalize") / "model.onnx")


def largest(proto, name, x):
    return np.abs(outputs(proto, x, name)).max((0, 2, 3))


def test_equalization_changes_the_weights_and_not_the_answers(model):
    x = pictures()
    equal = copied(model)
    assert equalize(equal, x) == 4
    reference = outputs(model, x)
    assert np.abs(outputs(equal, x) - reference).max() < 1e-5 * np.abs(reference).max()
    changed = []
    for layer in Graph(model).layers():
        before, after = (Graph(proto).constant(layer.weight) for proto in (model, equal))
        if np.abs(after / before - 1).max() > 0.1:
            changed.append(layer.name)
    assert changed == ["stem", "depthwise", "project", "expand", "grouped"]


def test_before_a_depthwise_convolution_all_channels_fill_the_range(model):
    equal = copied(model)
    equalize(equal, pictures())
    taken = Graph(model).layers()[1].input
    before, seen = (largest(proto, taken, pictures()) for proto in (model, equal))
    assert before.min() < 0.05 * before.max()
    assert seen.min() > 0.999 * seen.max()


def test_a_channel_that_relu6_cuts_off_is_left_alone(model):
    graph = Graph(copied(model))
    flow = channel_flow(graph)
    there = slice(12, 24)  # the depthwise layer's channels
    assert (flow.bounds[there] == 6).all()
    assert np.isinf(flow.bounds[[0, 24]]).all()
    seen = np.ones(len(flow.free))
    seen[there] = np.linspace(0, 6, 12)
    found = factors(graph, flow, seen)[there]
    assert found[0] == found[-1] == 1
    assert (found >= seen[there] / 6).all()
    assert found.min() < 0.9


def test_channels_are_followed_through_joins_shuffles_and_choices(tmp_path):
    network, model = joined_model(tmp_path / "model.onnx")
    graph, x = Graph(model), pictures()
    flow = channel_flow(graph)
    assert {layer.name: start for layer, start in flow.first.items()}.keys() == {
        "one", "two", "norm", "chosen", "part", "added",
    }  # fmt: skip
    start = {layer.name: at for layer, at in flow.first.items()}
    taken = {layer.name: channels for layer, channels in flow.takings}
    joined = np.concatenate([start["one"] + np.arange(6), start["two"] + np.arange(6)])
    shuffled = joined.reshape(3, 4).T.ravel()
    assert taken["two"].tolist() == joined[:6].tolist()
    assert taken["norm"].tolist() == shuffled.tolist()
    assert taken["part"].tolist() == shuffled[:6].tolist()
    assert taken["chosen"].tolist() == joined[network.index.numpy()].tolist()
    assert flow.free[joined].all()
    assert not flow.free[start["part"] :].any()  # added, or given out
    [split] = [node for node in model.graph.node if node.op_type == "Slice"]
    for others in ([], ["", split.input[4]]):  # all axes from the first on, and the place of the axes left empty
        without = copied(model)
        [cut] = [node for node in without.graph.node if node.op_type == "Slice"]
        cut.input[3:] = others
        assert "part" not in {layer.name for layer, _ in channel_flow(Graph(without)).takings}
    equal = copied(model)
    assert can_equalize(graph)
    assert equalize(equal, x) == 7
    reference = outputs(model, x)
    assert np.abs(outputs(equal, x) - reference).max() < 1e-5 * np.abs(reference).max()
    seen = np.zeros(len(flow.free))
    for layer, channels in flow.takings:
        np.maximum.at(seen, channels, largest(model, layer.input, x))
    found = factors(graph, flow, seen)
    assert ((found != 1) <= flow.free).all()
    dense = {*taken["two"], *taken["part"]}
    rest = [number for number in joined if number not in dense and seen[number]]  # taken by depthwise layers only
    assert len(rest) > 2
    assert seen[rest] / found[rest] == pytest.approx(seen[rest][0] / found[rest][0])
