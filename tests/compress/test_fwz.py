"""Files of packed networks: what was written comes back, bit for bit."""

import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from featherweight.compress import (
    _entropy,
    _pack,
    pack,
    packed_metadata,
    packed_tensors,
    share_weights,
    unpack,
)
from featherweight.compress._entry import TYPES, raw_entry, shared_entry, tensor_of
from featherweight.compress._share import plain
from featherweight.networks import create, load_model, save_model
from featherweight.networks._saved import build


def same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    if (a.dtype, a.shape) != (b.dtype, b.shape):
        return False
    return torch.equal(*(tensor.detach().contiguous().reshape(-1).view(torch.uint8) for tensor in (a, b)))


def same_state(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return ours.keys() == theirs.keys() and all(same_bits(ours[name], theirs[name]) for name in ours)


@given(
    shape=st.sampled_from([(0, 3), (1, 1), (7,), (2, 3, 1, 5), (300, 4), (256, 256)]),
    density=st.sampled_from([0.0, 0.001, 0.05, 0.33, 0.9, 1.0]),
    values=st.sampled_from([1, 2, 16, 200, 256]),
    seed=st.integers(0, 9),
)
@settings(deadline=None, max_examples=60)
def test_a_shared_tensor_comes_back(shape, density, values, seed) -> None:
    draw = np.random.default_rng(seed)
    codebook = draw.normal(size=values).astype(np.float32)
    weights = np.where(draw.random(shape) < density, codebook[draw.integers(values, size=shape)], np.float32(0))
    tensor = torch.from_numpy(weights)
    entry, bits = shared_entry("weight", tensor)
    assert same_bits(tensor_of(entry), tensor)
    assert 8 * sum(len(stream.data) for stream in entry.streams) >= bits - 1e-6


def test_minus_zero_is_a_value() -> None:
    tensor = torch.tensor([[0.0, -0.0, 1.0]])
    entry, _ = shared_entry("weight", tensor)
    assert entry.streams[1].symbols == 2
    assert same_bits(tensor_of(entry), tensor)


@pytest.mark.parametrize("dtype", TYPES.values(), ids=TYPES.keys())
@pytest.mark.parametrize("shape", [(), (0,), (3, 5)])
def test_any_tensor_comes_back(dtype, shape) -> None:
    tensor = (torch.randn(shape) * 9).to(dtype)
    assert same_bits(tensor_of(raw_entry("counter", tensor)), tensor)


def test_too_many_values_and_unknown_types() -> None:
    with pytest.raises(ValueError, match="weight has 299 values besides zero; a codebook has at most 256"):
        shared_entry("weight", torch.arange(300.0))
    with pytest.raises(ValueError, match=r"phase is torch.complex64; a .fwz file holds float64, float32"):
        raw_entry("phase", torch.zeros(2, dtype=torch.complex64))


def test_every_registered_network_comes_back(tiny, tmp_path) -> None:
    packed = pack(tiny, tmp_path / "model.fwz", density=0.4, bits=5)
    assert same_state(unpack(packed.path), plain(share_weights(tiny, density=0.4, bits=5)))
    parts = (
        packed.positions_bytes,
        packed.indices_bytes,
        packed.codebooks_bytes,
        packed.rest_bytes,
        packed.header_bytes,
    )
    assert sum(parts) == packed.packed_bytes == packed.path.stat().st_size
    assert packed.float_bytes == sum(t.numel() * t.element_size() for t in tiny.state_dict().values())


def test_without_the_compiled_part_the_bytes_are_the_same(tmp_path, monkeypatch) -> None:
    model = create("lenet5_bn", num_classes=7)
    compiled = pack(model, tmp_path / "compiled.fwz").path.read_bytes()
    monkeypatch.setattr(_entropy, "native", None)
    monkeypatch.setattr("featherweight.compress._entry.native", None)
    assert pack(model, tmp_path / "plain.fwz").path.read_bytes() == compiled
    assert same_state(unpack(tmp_path / "plain.fwz"), plain(share_weights(model)))


def test_metadata_and_batch_norms_eps_come_back(tmp_path) -> None:
    model = create("mobilenet_v2", width=0.35, num_classes=3)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 1e-3
    pack(model, tmp_path / "model.fwz", metadata={"labels": '["a", "ü", "c"]'})
    assert packed_metadata(tmp_path / "model.fwz") == {"labels": '["a", "ü", "c"]'}
    again = unpack(tmp_path / "model.fwz")
    assert {m.eps for m in again.modules() if isinstance(m, torch.nn.BatchNorm2d)} == {1e-3}
    assert not again.training
    save_model(again, tmp_path / "model.safetensors", packed_metadata(tmp_path / "model.fwz"))
    assert same_state(load_model(tmp_path / "model.safetensors"), again)


def test_what_another_thread_builds_meanwhile_is_not_counted(tmp_path, monkeypatch) -> None:
    pack(create("lenet5_bn"), tmp_path / "model.fwz")
    complaints = []

    def elsewhere() -> None:
        try:
            create("mobilenet_v2", width=0.35)
        except ValueError as error:
            complaints.append(error)

    def build_both(*given):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        return build(*given)

    monkeypatch.setattr(_pack, "build", build_both)
    assert unpack(tmp_path / "model.fwz").name == "lenet5_bn"
    assert complaints == []


def test_tensors_come_one_by_one(tmp_path) -> None:
    model = create("squeezenet", num_classes=10)
    pack(model, tmp_path / "model.fwz")
    wanted = unpack(tmp_path / "model.fwz").state_dict()
    names = []
    for name, tensor in packed_tensors(tmp_path / "model.fwz"):
        assert same_bits(tensor, wanted[name])
        names.append(name)
    assert names == list(wanted)


def test_what_cannot_be_packed_leaves_no_file(tmp_path) -> None:
    changed = create("lenet5_bn")
    changed.head = torch.nn.Identity()
    for model, complaint in (
        (torch.nn.Linear(64, 64), "only a network made by featherweight.create"),
        (changed, "this lenet5_bn was changed"),
        (create("lenet5_bn").double(), r"is torch.float64; weights are shared that are float32"),
    ):
        with pytest.raises(ValueError, match=complaint):
            pack(model, tmp_path / "model.fwz")
    with pytest.raises(ValueError, match="the metadata key 'featherweight' is ours"):
        pack(create("lenet5_bn"), tmp_path / "model.fwz", metadata={"featherweight": ""})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError, match="no such file"):
        unpack(tmp_path / "model.fwz")
