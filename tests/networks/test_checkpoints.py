"""Files of weights of training scripts and libraries: what is taken, what is refused, and that nothing in them runs."""

import os
import random
from argparse import Namespace
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
import torchvision
from torch import nn

from featherweight.networks import WeightsWarning, create, load_weights, save_model

OPTIONS = {"width": 0.35, "num_classes": 3}


@pytest.fixture
def model() -> nn.Module:
    return create("mobilenet_v2", **OPTIONS).eval()


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return create("mobilenet_v2", **OPTIONS).state_dict()


def foreign(state: dict[str, torch.Tensor], prefix: str = "net.") -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


def has(model: nn.Module, state: dict[str, torch.Tensor]) -> bool:
    ours = model.state_dict()
    return ours.keys() == state.keys() and all(torch.equal(ours[name], state[name]) for name in ours)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".tar"])
def test_file_of_torch_save(model: nn.Module, state: dict[str, torch.Tensor], tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    torch.save(foreign(state), path)
    assert str(load_weights(model, path)) == f"262 tensors of {path}, in their order"
    assert has(model, state)


@pytest.mark.parametrize("entry", ["state_dict_ema", "model_ema", "state_dict", "model"])
def test_what_a_training_script_puts_around_is_taken_off(
    model: nn.Module, state: dict[str, torch.Tensor], tmp_path: Path, entry: str
) -> None:
    path = tmp_path / "checkpoint.pth"
    wrapped = {**foreign(state, "module._orig_mod."), "n_averaged": torch.tensor(5)}
    torch.save({"epoch": 3, "args": Namespace(lr=0.1), entry: wrapped, "optimizer": {"state": {}}}, path)
    loaded = load_weights(model, path)
    assert (loaded.source, loaded.order) == (f"{path}, entry {entry!r}", "by name")
    assert has(model, state)


def test_averaged_weights_come_before_others_unless_the_entry_is_named(
    model: nn.Module, state: dict[str, torch.Tensor]
) -> None:
    other = create("mobilenet_v2", **OPTIONS).state_dict()
    checkpoint = {"state_dict": other, "state_dict_ema": state, "epoch": 1}
    assert load_weights(model, checkpoint).source == "a state dict, entry 'state_dict_ema'"
    assert has(model, state)
    load_weights(model, checkpoint, entry="state_dict")
    assert has(model, other)
    with pytest.raises(ValueError, match=r"entry 'epoch' of a state dict is no state dict; it has .* state_dict"):
        load_weights(model, checkpoint, entry="epoch")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epoch": 3, "net": "x"}, "weights.pth holds no state dict; it has the entries epoch, net$"),
        ([1, 2], "weights.pth holds no state dict but a list"),
        ({}, "262 tensors here, 0 there; the first without a partner: stem.conv.weight here"),
    ],
)
def test_content_without_weights_is_described(model: nn.Module, tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=message):
        load_weights(model, tmp_path / "weights.pth")


class Program:
    """What a malicious file holds: reading it would make a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_program_in_a_file_is_named_and_not_run(
    model: nn.Module, state: dict[str, torch.Tensor], tmp_path: Path, zipped: bool
) -> None:
    path, trace = tmp_path / "weights.pth", tmp_path / "it ran"
    torch.save({"state_dict": state, "x": Program(trace)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"weights\.pth is not read: besides tensors it holds \w+\.mkdir, and"):
        load_weights(model, path)
    assert not trace.exists()
    torch.save(model, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"weights\.pth is not read: besides tensors it holds featherweight\.blocks"):
        load_weights(model, path)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol", "ignore:TypedStorage is deprecated")
def test_damaged_files_are_named(tmp_path: Path, zipped: bool) -> None:
    path, model = tmp_path / "weights.pth", nn.Linear(2, 2)
    torch.save(model.state_dict(), path, _use_new_zipfile_serialization=zipped)
    whole, draw = path.read_bytes(), random.Random(0)
    damaged = [b"", b"not a model", b"PK\x03\x04", b"\x80\x02.", *(whole[: len(whole) * i // 20] for i in range(1, 18))]
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"weights\.pth (is no|holds no)"):
            load_weights(model, path)
    for _ in range(100):
        content = bytearray(whole)
        content[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)
        try:
            load_weights(model, path)  # a bit of a number or of a name may change unseen
        except ValueError as error:
            assert "weights.pth" in str(error) or "here" in str(error)


def test_files_of_other_kinds_are_refused(model: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    with pytest.raises(FileNotFoundError, match=r"no such file: .*weights\.npz"):
        load_weights(model, path)
    path.write_bytes(b"x")
    with pytest.raises(ValueError, match=r"weights\.npz cannot be weights by its name: they end in \.safetensors or,"):
        load_weights(model, path)


def test_our_own_file_keeps_its_eps(model: nn.Module, state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    other = create("mobilenet_v2", **OPTIONS)
    load_weights(other, state, batch_norm_eps=2e-3)
    assert load_weights(model, save_model(other, tmp_path / "model.safetensors")).order == "by name"
    assert has(model, state)
    assert {norm.eps for norm in model.modules() if isinstance(norm, nn.BatchNorm2d)} == {2e-3}


def test_safetensors_of_a_library_s_network_are_put_in_its_order(tmp_path: Path) -> None:
    theirs, model = torchvision.models.mobilenet_v3_small().eval(), create("mobilenet_v3_small").eval()
    path = tmp_path / "theirs.safetensors"
    safetensors.torch.save_file(theirs.state_dict(), path)
    loaded = load_weights(model, path, batch_norm_eps=1e-3)
    assert loaded.order == "in the order of torchvision's mobilenet_v3_small"
    for given in (safetensors.torch.load_file(path), theirs.state_dict()):
        again = create("mobilenet_v3_small").eval()
        load_weights(again, given, batch_norm_eps=1e-3)
        assert has(again, model.state_dict())
    pixels = torch.randn(1, 3, 48, 48)
    torch.testing.assert_close(model(pixels), theirs(pixels))


def test_safetensors_under_unknown_names_are_not_guessed_at(
    model: nn.Module, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "theirs.safetensors"
    safetensors.torch.save_file(foreign(state), path)
    with pytest.raises(ValueError, match=r"theirs\.safetensors is sorted by names, .* the first: net\.body\.0\."):
        load_weights(model, path)


@torch.no_grad()
@pytest.mark.parametrize("channels", [1, 2, 4, 6, 7])
def test_first_layer_is_adapted_to_other_channels(state: dict[str, torch.Tensor], channels: int) -> None:
    model = create("mobilenet_v2", **OPTIONS, in_channels=channels)
    with pytest.raises(ValueError, match=r"tensor 1 differs: stem\.conv\.weight .*; adapt=True makes kernels for"):
        load_weights(model, foreign(state))
    with pytest.warns(WeightsWarning, match=f"first layer stem.conv.weight: for 3 channels there, {channels} here"):
        loaded = load_weights(model, foreign(state), adapt=True)
    assert len(loaded.adapted) == 1
    assert loaded.adapted[0] in str(loaded)
    colour = state["stem.conv.weight"]
    assert torch.equal(model.stem.conv.weight, timm.models.adapt_input_conv(channels, colour))
    if channels in (1, 6):  # a picture whose channels are equal gives what it gave
        plain = create("mobilenet_v2", **OPTIONS)
        load_weights(plain, state)
        grey = torch.randn(1, 1, 32, 32)
        wanted = plain.eval()(grey.expand(1, 3, 32, 32))
        torch.testing.assert_close(model.eval()(grey.expand(1, channels, 32, 32)), wanted)


def test_classifier_for_other_classes_is_left_out(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    for classes in (0, 5):
        model = create("mobilenet_v2", width=0.35, num_classes=classes)
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        with pytest.raises(ValueError, match=r"head\.classifier"):
            load_weights(model, foreign(state))
        assert has(model, before)
        torch.save(state, tmp_path / "theirs.pth")
        for source in (foreign(state), state, tmp_path / "theirs.pth"):
            here = "5 here, freshly drawn" if classes else "none here"
            with pytest.warns(WeightsWarning, match=rf"classifier .*classifier: for 3 classes there, {here}"):
                loaded = load_weights(model, source, adapt=True)
            assert (loaded.tensors, len(loaded.dropped), loaded.adapted) == (260, 1, ())
            wanted = {name: state[name] for name in before if "classifier" not in name}
            drawn = {name: before[name] for name in before if "classifier" in name}
            assert has(model, {**wanted, **drawn})


def test_adapt_does_not_hide_another_structure(state: dict[str, torch.Tensor]) -> None:
    model = create("mobilenet_v2", width=0.5, num_classes=7, in_channels=1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"tensor 26 differs: body\.1\.project\.conv\.weight"):
        load_weights(model, foreign(state), adapt=True)
    assert has(model, before)
