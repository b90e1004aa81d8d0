"""A small network on which the steps of quantization are tried, and pictures for it."""

import numpy as np
import onnx
import torch
from torch import nn

from featherweight.compress._qdq import prepared
from featherweight.export import probe


def pictures(count=48, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 3, 8, 8)).astype(np.float32)


class Small(nn.Module):
    """Every kind of pair: through ReLU into depthwise, through ReLU6 into dense, through nothing into dense."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.depthwise = nn.Conv2d(12, 12, 3, stride=2, padding=1, groups=12)
        self.project = nn.Conv2d(12, 8, 1)
        self.expand = nn.Conv2d(8, 16, 1)
        self.grouped = nn.Conv2d(16, 16, 3, groups=4)
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        x = nn.functional.relu(self.stem(x))
        x = self.project(nn.functional.relu6(self.depthwise(x)))
        x = nn.functional.hardswish(self.grouped(nn.functional.relu(self.expand(x))))
        return self.head(x.mean((2, 3)))


def small_model(path):
    """Write it as ONNX, for any batch; return it prepared."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Small()
        with torch.no_grad():  # ranges of channels that differ 30 times, and the layer behind that needs the small ones
            scales = torch.logspace(-1, 0.5, 12)
            network.stem.weight *= scales.reshape(-1, 1, 1, 1)
            network.stem.bias.copy_(torch.randn(12) * scales / 5)
            network.depthwise.weight /= scales.reshape(-1, 1, 1, 1)
            network.depthwise.weight *= torch.linspace(0.3, 20, 12).reshape(-1, 1, 1, 1)
            network.grouped.weight *= 5
    return for_any_batch(network.eval(), path)


def for_any_batch(network, path):
    """Write a network as ONNX; return it prepared."""
    path.write_bytes(probe(network, (3, 8, 8), batch=2))
    proto = prepared(path)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    return proto


def copied(model):
    proto = onnx.ModelProto()
    proto.CopyFrom(model)
    return proto


class Joined(nn.Module):
    """Channels that go to several layers, through all that a factor passes; one of them also to where it does not."""

    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(3, 6, 3, padding=1)
        self.two = nn.Conv2d(6, 6, 3, padding=1)
        self.norm = nn.Conv2d(12, 12, 1, groups=12)
        self.chosen = nn.Conv2d(8, 8, 1, groups=8)
        self.part = nn.Conv2d(6, 4, 1)
        self.added = nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(16, 5)
        self.register_buffer("index", torch.tensor([0, 3, 3, 11, 6, 7, 8, 1]))

    def forward(self, x):
        one = nn.functional.relu(self.one(x))
        joined = torch.cat([one, self.two(one)], 1)
        shuffled = joined.reshape(-1, 3, 4, 8, 8).transpose(1, 2).reshape(-1, 12, 8, 8)
        pooled = nn.functional.max_pool2d(shuffled, 2)
        chosen = self.chosen(nn.functional.avg_pool2d(torch.index_select(joined, 1, self.index), 2))
        part = self.part(pooled[:, :6])
        found = torch.cat([part + self.added(part), self.norm(pooled)], 1)
        return self.head(found.mean((2, 3))) + chosen.sum((1, 2, 3), keepdim=False)[:, None]


def joined_model(path):
    """Write it as ONNX, for any batch; return it, and the file prepared."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Joined().eval()
        with torch.no_grad():
            network.one.weight *= torch.logspace(-1.5, 0, 6).reshape(-1, 1, 1, 1)
    return network, for_any_batch(network, path)
