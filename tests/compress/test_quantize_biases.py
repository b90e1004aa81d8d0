"""Quantization where layers have no bias, or the file has one bias for several."""

import numpy as np
from torch import nn

from featherweight.compress import quantize
from featherweight.compress._layers import Graph
from featherweight.compress._qdq import prepared
from featherweight.export import probe


def exported(network, path):
    path.write_bytes(probe(network.eval(), (3, 8, 8)))
    return path


def test_a_network_without_biases_is_quantized(tmp_path):
    network = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.ReLU(), nn.Conv2d(8, 4, 6, bias=False), nn.Flatten())
    path = exported(network, tmp_path / "model.onnx")
    x = np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)
    reports = []
    quantize(path, tmp_path / "int8.onnx", x, method="minmax", report=reports.append)
    assert reports[0].sqnr_db > 25


def test_layers_whose_biases_are_the_same_are_corrected_each_for_itself(tmp_path):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 4))
    for layer in network[::2]:
        nn.init.constant_(layer.bias, 0.1)
    path = exported(network, tmp_path / "model.onnx")  # writes the bias once
    assert len({layer.bias for layer in Graph(prepared(path)).layers()}) == 3
