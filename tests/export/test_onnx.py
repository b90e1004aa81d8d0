"""ONNX export held against PyTorch, over the registry."""

import contextlib
import io
import json
import shutil

import numpy as np
import onnx
import pytest
import torch

from featherweight import __version__, create
from featherweight.compress import fold_batch_norm
from featherweight.export import ExportError, ParityError, export, export_proven, load, probe, prove
from featherweight.export import onnx as target
from featherweight.export._half import to_half
from featherweight.export._targets import HALF_TOLERANCE, TOLERANCE

METADATA = {
    "labels": ["zero", "one", "zwei", "три", "五"],
    "preprocessing": {"resolution": 16, "channels": 1, "mean": [0.5], "std": [0.25]},
}


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).normal(size=(70, 1, 16, 16)).astype(np.float32)


@torch.no_grad()
def logits(model, x):
    return model(torch.from_numpy(x)).numpy()


@pytest.fixture(scope="module")
def model(calibrated):
    """A network with channel shuffles, whose reshapes are where an export with a fixed batch would go wrong."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = create("shufflenet_v2", width=0.5, num_classes=5, in_channels=1, small_input=True)
        return fold_batch_norm(calibrated(network, (1, 16, 16))).train()


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """The network's file and what exporting it printed; exported once, because that takes seconds."""
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        assert export(model, path, metadata=METADATA) == path
    model.eval()
    return path, printed.getvalue()


def test_every_registered_network_runs_in_onnx_runtime(tiny, pictures):
    content = probe(tiny, (1, 16, 16))
    half = onnx.load_from_string(content)
    to_half(half)
    expected, labels = logits(tiny, pictures[:6]), np.zeros(6, np.int64)
    for model, tolerance in ((content, TOLERANCE), (half.SerializeToString(), HALF_TOLERANCE)):
        runner = load(model)
        assert runner.input_shape == (1, 16, 16)
        assert runner.num_classes == 5
        one_by_one = np.concatenate([runner(picture[None]) for picture in pictures[:6]])
        assert prove(expected, one_by_one, labels, tolerance=tolerance).agreement == 1


def test_a_probe_leaves_the_network_as_it_was(calibrated):
    model = calibrated(create("mobilenet_v2", width=0.35, small_input=True), (3, 16, 16)).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    probe(model, 16)
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert model.stem.act.inplace


def test_the_file_gives_the_networks_logits_at_any_batch_size(model, exported, pictures):
    runner = load(exported[0])
    expected, labels = logits(model, pictures), np.zeros(len(pictures), np.int64)
    for batch in (1, 2, 5, 70):
        assert prove(expected[:batch], runner(pictures[:batch]), labels[:batch]).agreement == 1
    assert runner(pictures[:0]).shape == (0, 5)


def test_going_over_batches(exported, pictures):
    runner = load(exported[0])
    batches = [(torch.from_numpy(pictures[:3]), torch.tensor([1, 2, 3]), "more"), (pictures[3:5], np.array([4, 0]))]
    got, labels = runner.over(batches)
    assert np.array_equal(labels, [1, 2, 3, 4, 0])
    np.testing.assert_allclose(got, runner(pictures[:5]), atol=1e-5)


def test_the_file_is_what_was_promised(exported):
    path, printed = exported
    assert printed == ""
    assert list(path.parent.iterdir()) == [path]
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    assert [(entry.domain, entry.version) for entry in proto.opset_import] == [("", 20)]
    assert proto.ir_version == 10
    assert (proto.producer_name, proto.producer_version) == ("featherweight", __version__)
    assert [d.dim_param or d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim] == ["batch", 1, 16, 16]
    assert [d.dim_param or d.dim_value for d in proto.graph.output[0].type.tensor_type.shape.dim] == ["batch", 5]
    assert not {"BatchNormalization", "Identity", "Shape"} & {node.op_type for node in proto.graph.node}
    assert b".py" not in path.read_bytes()  # the exporter notes source lines of this machine in the graph


def test_the_file_says_what_it_is(exported):
    entry = json.loads({item.key: item.value for item in onnx.load(exported[0]).metadata_props}["featherweight"])
    options = {"width": 0.5, "num_classes": 5, "in_channels": 1, "small_input": True}
    assert entry == {"version": __version__, "network": {"name": "shufflenet_v2", "options": options}, **METADATA}
    runner = load(exported[0])
    assert runner.metadata == entry
    assert runner.labels == tuple(METADATA["labels"])
    assert runner.preprocessing == METADATA["preprocessing"]


@pytest.fixture
def quick_export(monkeypatch, exported):
    """Put the file that is there in the place of a new export."""
    monkeypatch.setattr(target, "export", lambda model, path, **_: shutil.copy(exported[0], path))


@pytest.mark.usefixtures("quick_export")
def test_a_proven_export_is_kept(tmp_path, model, pictures):
    path = tmp_path / "model.onnx"
    reference = logits(model, pictures[:8])
    batches = [(pictures[:5], reference[:5].argmax(1)), (pictures[5:8], reference[5:8].argmax(1))]
    parity = export_proven(model, path, batches, reference=reference, metadata=METADATA)
    assert (parity.pictures, parity.accuracy_exported) == (8, 1)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("quick_export")
def test_an_export_that_disagrees_is_an_error_not_a_file(tmp_path, model, pictures):
    path = tmp_path / "model.onnx"
    path.write_text("old")
    reference = logits(model, pictures[:8])[::-1]
    with pytest.raises(ParityError, match="the exported model disagrees with its network"):
        export_proven(model, path, [(pictures[:8], np.zeros(8))], reference=reference, metadata=METADATA)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("model.onnx", "old")]


def test_an_interruption_stays_one(tmp_path, model, monkeypatch):
    def interrupted(*_, **__):
        try:
            raise KeyboardInterrupt
        except AttributeError.exc:  # what PyTorch's exporter asks for where the import of its parts was interrupted
            pass

    monkeypatch.setattr(torch.onnx, "export", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export(model, tmp_path / "model.onnx", metadata=METADATA)
    assert not list(tmp_path.iterdir())


def test_another_opset_than_asked_for_is_an_error(exported):
    proto = onnx.load(exported[0])
    proto.opset_import[0].version = 18
    with pytest.raises(ExportError, match=r"wanted ONNX opset 20 and IR version 10; .* gave {'ai.onnx': 18}"):
        target._demand_versions(proto)


def test_the_input_size():
    model = create("mobilenet_v2", width=0.35, in_channels=1)
    assert target._input_shape(model, None, {}) == (1, 224, 224)
    assert target._input_shape(model, 32, METADATA) == (1, 32, 32)
    assert target._input_shape(model, None, METADATA) == (1, 16, 16)
    assert target._input_shape(model, (1, 8, 24), METADATA) == (1, 8, 24)
    with pytest.raises(ValueError, match=r"does not say its input size: give input_size=\(channels"):
        target._input_shape(torch.nn.Conv2d(1, 1, 1), None, {})
