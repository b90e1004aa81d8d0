"""Files of our own, and weights of others that do not fit: what is refused, and that nothing changes then."""

import json
import math
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from featherweight.networks import create, load_model, load_weights, save_model

NAME, OPTIONS = "mobilenet_v2", {"width": 0.35, "num_classes": 3, "small_input": True}


@pytest.fixture
def model() -> nn.Module:
    return create(NAME, **OPTIONS).eval()


def snapshot(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def renamed(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the layers other names, keeping each tensor's role."""
    return {f"layer{name.replace('.', '_')}.{name.rpartition('.')[2]}": tensor for name, tensor in state.items()}


def test_names_do_not_matter(model: nn.Module) -> None:
    other = create(NAME, **OPTIONS)
    for tensor in other.state_dict().values():
        tensor.copy_(torch.randn(tensor.shape) if tensor.is_floating_point() else torch.tensor(7))
    theirs = {f"net.{name}": tensor for name, tensor in other.state_dict().items()}
    load_weights(model, theirs)
    assert same(snapshot(model), snapshot(other))


def test_equal_names_decide_whatever_the_order(model: nn.Module) -> None:
    other = create(NAME, **OPTIONS)
    theirs = dict(sorted(snapshot(other).items(), reverse=True))
    assert load_weights(model, theirs).order == "by name"
    assert same(snapshot(model), snapshot(other))


def test_counters_are_optional_and_eps_is_set(model: nn.Module) -> None:
    theirs = {f"net.{name}": tensor + 1 for name, tensor in snapshot(model).items() if "num_batches" not in name}
    load_weights(model, theirs, batch_norm_eps=1e-3)
    assert {norm.eps for norm in model.modules() if isinstance(norm, nn.BatchNorm2d)} == {1e-3}
    assert model.stem.norm.num_batches_tracked == 0


def test_linear_and_1x1_convolution_are_the_same(model: nn.Module) -> None:
    theirs = snapshot(model)
    weight = theirs["head.classifier.weight"] = torch.randn(3, 1280)[:, :, None, None]
    load_weights(model, theirs)
    assert torch.equal(model.get_classifier().weight, weight[:, :, 0, 0])


def test_other_shape_is_named_on_both_sides(model: nn.Module) -> None:
    before = snapshot(model)
    theirs = {f"net.{name}": torch.ones_like(tensor) for name, tensor in before.items()}
    theirs["net.head.classifier.weight"] = torch.ones(4, 1280)
    message = r"head\.classifier\.weight \[3, 1280\] here, net\.head\.classifier\.weight \[4, 1280\] there"
    with pytest.raises(ValueError, match=message):
        load_weights(model, theirs)
    assert same(before, snapshot(model))


def test_other_role_is_refused_even_where_shapes_agree(model: nn.Module) -> None:
    theirs = renamed(snapshot(model))
    first = [f"layerstem_{name}" for name in ("conv_weight.weight", "norm_bias.bias", "norm_weight.weight")]
    swapped = {name: theirs.pop(name) for name in first} | theirs
    with pytest.raises(ValueError, match=r"tensor 2 differs: stem\.norm\.weight \[16\] here, layerstem_norm_bias"):
        load_weights(model, swapped)


@pytest.mark.parametrize("where", ["here", "there"])
def test_missing_and_surplus_tensors_are_named(model: nn.Module, where: str) -> None:
    before, theirs = snapshot(model), {name: torch.ones_like(tensor) for name, tensor in snapshot(model).items()}
    if where == "here":
        del theirs["head.classifier.bias"]
    else:
        theirs["more.weight"] = torch.ones(1)
    named = {"here": r"head\.classifier\.bias", "there": r"more\.weight"}[where]
    with pytest.raises(ValueError, match=f"tensors here, .* there; the first without a partner: {named} {where}"):
        load_weights(model, theirs)
    assert same(before, snapshot(model))


def test_file_keeps_metadata_and_eps(model: nn.Module, tmp_path: Path) -> None:
    load_weights(model, snapshot(model), batch_norm_eps=2e-3)
    path = save_model(model, tmp_path / "model.safetensors", {"labels": '["a", "b", "c"]'})
    loaded = load_model(path)
    assert loaded.stem.norm.eps == 2e-3
    assert same(snapshot(loaded), snapshot(model))
    with safetensors.safe_open(path, "pt") as file:
        assert file.metadata()["labels"] == '["a", "b", "c"]'
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]


def test_reset_classifier_is_saved_with_the_model(model: nn.Module, tmp_path: Path) -> None:
    model.reset_classifier(9)
    assert load_model(save_model(model, tmp_path / "model.safetensors")).num_classes == 9


def test_a_new_classifier_of_a_network_without_options_is_saved_too(tmp_path: Path) -> None:
    model = create("micronet_m0")
    model.reset_classifier(7)
    assert load_model(save_model(model, tmp_path / "model.safetensors")).num_classes == 7


def test_eps_of_every_batch_norm_is_kept(tmp_path: Path) -> None:
    """MicroNet's head has one for vectors, too."""
    model = create("micronet_m0", num_classes=2)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert {type(norm) for norm in norms} == {nn.BatchNorm1d, nn.BatchNorm2d}
    for norm in norms:
        norm.eps = 1e-3
    loaded = load_model(save_model(model, tmp_path / "model.safetensors"))
    assert {m.eps for m in loaded.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)} == {1e-3}


def test_a_table_changed_behind_our_back_changes_no_model(tmp_path: Path) -> None:
    table = [[1, 8, 1, 2], [3, 16, 2, 2]]
    model = create(NAME, table=table, num_classes=2, head_channels=24)
    table.pop()
    assert same(snapshot(load_model(save_model(model, tmp_path / "model.safetensors"))), snapshot(model))


def test_table_of_ones_own_is_saved_with_the_model(tmp_path: Path) -> None:
    model = create(NAME, table=((1, 8, 1, 2), (3, 16, 2, 2)), num_classes=2, head_channels=24)
    loaded = load_model(save_model(model, tmp_path / "model.safetensors"))
    assert same(snapshot(loaded), snapshot(model))


def test_weights_that_share_memory_are_saved(model: nn.Module, tmp_path: Path) -> None:
    model.to(memory_format=torch.channels_last)
    assert same(snapshot(load_model(save_model(model, tmp_path / "model.safetensors"))), snapshot(model))


def test_model_that_cannot_be_built_again_is_not_saved(model: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with pytest.raises(ValueError, match=r"only a network made by featherweight\.create, .* of this Linear, keep"):
        save_model(nn.Linear(1, 1), path)
    with pytest.raises(ValueError, match="the metadata key 'featherweight' is ours"):
        save_model(model, path, {"featherweight": "mine"})
    model.stem.norm.eps = 0.5
    with pytest.raises(ValueError, match=r"batch norms of this mobilenet_v2 have different eps: \[1e-05, 0\.5\]"):
        save_model(model, path)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.eps = 0.0
    with pytest.raises(ValueError, match=r"the eps of batch norms is a finite number above 0; got 0\.0"):
        save_model(model, path)
    for norm in norms:
        norm.eps = 1e-5
    model.body[0] = nn.Identity()
    with pytest.raises(
        ValueError, match=r"was changed since create\('mobilenet_v2', \.\.\.\) made it, first at body\.0"
    ):
        save_model(model, path)
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_not_ours_are_refused(model: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with pytest.raises(FileNotFoundError, match=r"no such file: .*model\.safetensors"):
        load_model(path)
    path.write_bytes(b"not a model")
    with pytest.raises(ValueError, match=r"model\.safetensors is not a whole safetensors file"):
        load_model(path)
    save_model(model, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"model\.safetensors is not a whole safetensors file"):
        load_model(path)
    safetensors.torch.save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=r"was not written by featherweight\.save_model"):
        load_model(path)
    for record, message in (("{}", r"not written by .*'featherweight' is \{\}"), ("{", "'featherweight' is not JSON")):
        safetensors.torch.save_file({"x": torch.zeros(1)}, path, {"featherweight": record})
        for read in (load_model, lambda path: load_weights(model, path)):
            with pytest.raises(ValueError, match=message):
                read(path)
    with safetensors.safe_open(save_model(model, tmp_path / "good.safetensors"), "pt") as file:
        metadata = file.metadata()
    for eps in ("x", None, True, 0, -1e-5, math.inf, math.nan, 10**400):
        record = {**json.loads(metadata["featherweight"]), "batch_norm_eps": eps}
        safetensors.torch.save_file(model.state_dict(), path, {"featherweight": json.dumps(record)})
        with pytest.raises(ValueError, match=r"model\.safetensors: the eps of batch norms is a finite number above 0"):
            load_model(path)
    safetensors.torch.save_file({"x": torch.zeros(1)}, path, metadata)
    with pytest.raises(ValueError, match=r"the weights in .* do not fit its network mobilenet_v2"):
        load_model(path)


def test_the_same_model_gives_the_same_bytes(model: nn.Module, tmp_path: Path) -> None:
    metadata = {name: name for name in "edcba"}
    files = {save_model(model, tmp_path / f"{i}.safetensors", metadata).read_bytes() for i in range(5)}
    assert len(files) == 1
    assert same(load_model(tmp_path / "0.safetensors").state_dict(), model.state_dict())
