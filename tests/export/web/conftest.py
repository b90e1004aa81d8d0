"""Two small networks that have learned something, as ONNX files and as pages."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from sklearn.datasets import load_sample_images
from torch import nn

from featherweight.compress import fold_batch_norm
from featherweight.data import Preprocessing, digits
from featherweight.environments import missing
from featherweight.export import probe, web
from featherweight.networks import create

GREY = Preprocessing(resolution=32, channels=1, mean=(0.31,), std=(0.32,))
COLOUR = Preprocessing(resolution=32, channels=3, mean=(0.4, 0.45, 0.5), std=(0.2, 0.25, 0.3), resize="crop")


@torch.no_grad()
def learned(model: nn.Module, pictures: np.ndarray, labels: np.ndarray) -> nn.Module:
    """Fit the last layer to the labels, in closed form: a second, where training all layers takes a minute."""
    given: list[torch.Tensor] = []
    last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    hook = last.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    for part in torch.from_numpy(pictures).split(256):
        model(part)
    hook.remove()
    features = torch.cat([torch.cat(given), torch.ones(len(pictures), 1)], 1).double()
    wanted = 10 * nn.functional.one_hot(torch.from_numpy(labels)).double() - 5
    gram = features.T @ features + torch.eye(features.shape[1])
    solution = torch.linalg.solve(gram, features.T @ wanted).float()
    last.weight.copy_(solution[:-1].T)
    last.bias.copy_(solution[-1])
    return fold_batch_norm(model)


def write_onnx(model: nn.Module, path: Path, metadata: Mapping[str, Any]) -> Path:
    """Write a file such as `export` writes, by the quick exporter, which takes a tenth of the time."""
    proto = onnx.load_from_string(probe(model, metadata["preprocessing"]["resolution"]))
    said = {**json.loads(proto.metadata_props[0].value), **metadata}
    del said["probe"]
    proto.metadata_props[0].value = json.dumps(said)
    onnx.save(proto, path)
    return path


@pytest.fixture(scope="session")
def digit_inputs() -> tuple[np.ndarray, np.ndarray]:
    """All digits as the network takes them, float32 [N, 1, 32, 32], and their labels."""
    pictures = digits()
    images = pictures.at(GREY).permute(0, 2, 3, 1).numpy()
    return GREY.normalize(images), np.asarray(pictures.labels)


@pytest.fixture(scope="session")
def digits_onnx(calibrated: Any, digit_inputs: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network for the digits, right on seven of ten and more."""
    pictures, labels = digit_inputs
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = create("lenet5_bn", num_classes=10, in_channels=1)
        model = learned(calibrated(model, (1, 32, 32)), pictures[:1400], labels[:1400])
    metadata = {"labels": list("0123456789"), "preprocessing": GREY.to_dict()}
    path = write_onnx(model, tmp_path_factory.mktemp("digits") / "digits.onnx", metadata)
    proto = onnx.load(path)
    for value in (*proto.graph.input, *proto.graph.output):  # nothing in this network depends on how many there are
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save(proto, path)
    return path


@pytest.fixture(scope="session")
def parts_onnx(calibrated: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network for colour pictures, one at a time, which tells parts of one photograph from parts of the other."""
    draw = np.random.default_rng(0)
    parts, labels = [], []
    for label, photograph in enumerate(load_sample_images().images):
        for top, left in zip(draw.integers(0, 300, 60), draw.integers(0, 500, 60), strict=True):
            parts.append(COLOUR.fit(photograph[top : top + 120, left : left + 120]))
            labels.append(label)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = calibrated(create("mobilenet_v2", width=0.25, num_classes=2, small_input=True), (3, 32, 32))
        model = learned(model, COLOUR.normalize(np.stack(parts)), np.array(labels))
    metadata = {"labels": ["<b>china</b>", "flower"], "preprocessing": COLOUR.to_dict()}
    return write_onnx(model, tmp_path_factory.mktemp("parts") / "parts.onnx", metadata)


@pytest.fixture(scope="session")
def installed() -> None:
    """The browser's runtime, which `make test` installs where there is npm."""
    if reason := missing("web"):
        pytest.skip(reason if shutil.which("npm") else "npm, which brings the browser's runtime, is not installed")


@pytest.fixture(scope="session")
def digits_page(installed: None, digits_onnx: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return web.export(digits_onnx, tmp_path_factory.mktemp("web") / "digits")


@pytest.fixture(scope="session")
def parts_page(installed: None, parts_onnx: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return web.export(parts_onnx, tmp_path_factory.mktemp("web") / "parts")
