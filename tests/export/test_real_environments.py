"""ncnn, ExecuTorch and LiteRT for real, where their environments are installed: nothing is fetched by a test."""

import numpy as np
import pytest
import torch

from featherweight.compress import fold_batch_norm
from featherweight.environments import missing
from featherweight.export import TARGETS, export, load
from featherweight.networks import create

NETWORKS = {  # with what ncnn's converter misreads: gathered channels, slices with a step
    "mobilenet_v3_small": {"width": 0.25},
    "condensenet_cifar": {"width": 0.25, "depth": 0.3},
    "resnet20": {"width": 0.25},
}


def needs(name: str) -> pytest.MarkDecorator:
    reason = missing(name)
    return pytest.mark.skipif(reason is not None, reason=str(reason))


def network(calibrated, name, **options):
    torch.manual_seed(0)
    model = create(name, num_classes=5, in_channels=1, small_input=True, **options)
    model = calibrated(model, (1, 32, 32))
    pictures = torch.randn(8, 1, 1, 1) * torch.randn(8, 1, 32, 32) + torch.randn(8, 1, 1, 1)
    with torch.no_grad():
        return fold_batch_norm(model, strict=False), pictures.numpy(), model(pictures).numpy()


@needs("ncnn")
@pytest.mark.parametrize("name", NETWORKS)
def test_ncnn(calibrated, tmp_path, name) -> None:
    model, pictures, expected = network(calibrated, name, **NETWORKS[name])
    export(model, tmp_path / "model.onnx", metadata={}, input_size=(1, 32, 32))
    sizes = {}
    for precision, form in TARGETS["ncnn"].precisions.items():
        folder = TARGETS["ncnn"].code().export(tmp_path / "model.onnx", tmp_path / precision, precision=precision)
        sizes[precision] = (folder / "model.bin").stat().st_size
        np.testing.assert_allclose(load(folder)(pictures), expected, rtol=0, atol=form.tolerance * abs(expected).max())
    assert sizes["float16"] < 0.6 * sizes["float32"]


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in ("executorch", "litert")])
def test_programs(calibrated, tmp_path, name) -> None:
    model, pictures, expected = network(calibrated, "mobilenet_v2", width=0.25)
    sizes = {}
    for precision, form in TARGETS[name].precisions.items():
        more = {"calibration": pictures} if form.calibrated else {}
        folder = tmp_path / precision
        TARGETS[name].code().export(
            model, folder, precision=precision, metadata={"labels": [*"abcde"]}, input_size=(1, 32, 32), **more
        )
        runner = load(folder)
        assert runner.labels == tuple("abcde")
        sizes[precision] = (folder / TARGETS[name].holds).stat().st_size
        off = np.abs(runner(pictures) - expected).max() / np.abs(expected).max()
        assert off <= (form.tolerance or 0.5)
        assert (precision == "int8") == (off > 1e-4)  # int8 that stayed float would agree
    assert sizes["int8"] < 0.5 * sizes["float32"]
