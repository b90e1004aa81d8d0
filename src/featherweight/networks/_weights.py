"""Weights from elsewhere, and to and from files of our own."""

import json
import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor, nn

from featherweight._files import write_atomically

from ._meta import on_meta_device
from ._registry import create

_COUNTER = "num_batches_tracked"  # a batch norm's count of its training steps: peers' files may lack it
_KEY = "featherweight"  # of our entry in a file's metadata


def load_weights(model: nn.Module, state_dict: Mapping[str, Tensor], *, batch_norm_eps: float | None = None) -> None:
    """Fill a network with the weights of torchvision's or timm's same network.

    Names do not matter, structure does: the tensors of both are gone through in order, and each pair must have the
    same role (weight, bias, running mean or variance) and the same shape. A linear layer and a 1x1 convolution of
    equal widths count as the same.

    Args:
        state_dict: of the other network, in its own order.
        batch_norm_eps: what the other network's batch norms add to the variance, if not PyTorch's 1e-5:
            torchvision's MobileNetV3 and most EfficientNets have 1e-3, as the networks' first releases had. It belongs
            to the weights: with another value the outputs differ.
    Raises: ValueError: the structures differ; the message names the first pair that does. The model is unchanged.

    Example:
        >>> from featherweight.networks import create
        >>> theirs = {f"net.{name}": tensor for name, tensor in create("mobilenet_v2", width=0.35).state_dict().items()}
        >>> load_weights(create("mobilenet_v2", width=0.35), theirs)
        >>> load_weights(create("mobilenet_v2", width=0.5), theirs)
        Traceback (most recent call last):
        ...
        ValueError: tensor 26 differs: body.1.project.conv.weight [16, 48, 1, 1] here, net... [8, 48, 1, 1] there
    """
    ours = model.state_dict()
    names = [name for name in ours if not name.endswith(_COUNTER)]
    their_names = [name for name in state_dict if not name.endswith(_COUNTER)]
    for place, (name, theirs) in enumerate(zip(names, their_names, strict=False), 1):
        if not _same(name, ours[name], theirs, state_dict[theirs]):
            raise ValueError(
                f"tensor {place} differs: {name} {list(ours[name].shape)} here, "
                f"{theirs} {list(state_dict[theirs].shape)} there"
            )
    if len(names) != len(their_names):
        longer, where = (names, "here") if len(names) > len(their_names) else (their_names, "there")
        first = longer[min(len(names), len(their_names))]
        raise ValueError(
            f"{len(names)} tensors here, {len(their_names)} there; the first without a partner: {first} {where}"
        )
    filled = {
        name: state_dict[theirs].reshape(ours[name].shape) for name, theirs in zip(names, their_names, strict=True)
    }
    for name, theirs in zip(names, their_names, strict=True):
        counter = _beside(theirs, _COUNTER)
        if name.endswith("running_var") and counter in state_dict:
            filled[_beside(name, _COUNTER)] = state_dict[counter]
    model.load_state_dict({**ours, **filled})
    if batch_norm_eps is not None:
        for norm in _batch_norms(model):
            norm.eps = batch_norm_eps


def _same(name: str, ours: Tensor, their_name: str, theirs: Tensor) -> bool:
    if name.rpartition(".")[2] != their_name.rpartition(".")[2]:
        return False
    wanted, given = list(ours.shape), list(theirs.shape)
    one_by_one = {len(wanted), len(given)} == {2, 4} and (wanted + given)[-2:] == [1, 1]
    return wanted == given or (one_by_one and wanted[:2] == given[:2])


def _beside(name: str, attribute: str) -> str:
    return f"{name.rpartition('.')[0]}.{attribute}"


def _batch_norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


def save_model(model: nn.Module, path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None) -> Path:
    """Write a network's weights, and what is needed to build it again, to a safetensors file.

    Args:
        model: made by `create`, with any weights.
        path: of the file; written whole or not at all.
        metadata: more text to carry along, such as labels; read it with `safetensors.safe_open(path, "pt").metadata()`.
    Returns: `path` as a Path.
    Raises: ValueError: the model was not made by `create` or was changed since, so that it could not be built again;
        or metadata has the key "featherweight", which is ours.

    Example:
        >>> import tempfile
        >>> from featherweight.networks import create
        >>> model = create("mobilenet_v2", width=0.35, num_classes=10)
        >>> load_model(save_model(model, f"{tempfile.mkdtemp()}/model.safetensors")).num_classes
        10
    """
    if metadata and _KEY in metadata:
        raise ValueError(f"the metadata key {_KEY!r} is ours; call yours otherwise")
    record = json.dumps({"version": version("featherweight"), **_recipe(model)})
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    content = safetensors.torch.save(tensors, {**(metadata or {}), _KEY: record})
    write_atomically(path, _metadata_in_order(content))
    return Path(path)


def _recipe(model: nn.Module) -> dict[str, object]:
    """Say how `load_model` builds this model, having checked that it would get the same structure."""
    name, options = getattr(model, "name", None), getattr(model, "options", None)
    if not isinstance(name, str) or not isinstance(options, dict):
        raise ValueError(f"only a network made by featherweight.create can be saved; got {type(model).__name__}")
    eps = sorted({norm.eps for norm in _batch_norms(model)})
    if len(eps) > 1:
        raise ValueError(f"the batch norms of this {name} have different eps: {eps}; a file keeps one for all")
    try:
        options = json.loads(json.dumps(options))
    except TypeError as error:
        raise ValueError(f"the options of this {name} cannot be written to a file: {error}") from error
    ours, built = model.state_dict(), _build(name, options).state_dict()
    for tensor in ours | built:
        if tensor not in ours or tensor not in built or ours[tensor].shape != built[tensor].shape:
            raise ValueError(f"this {name} was changed since create({name!r}, ...) made it, first at {tensor}")
    return {"name": name, "options": options, "batch_norm_eps": eps[0] if eps else None}


def _metadata_in_order(content: bytes) -> bytes:
    """Sort a safetensors file's metadata, which come in any order, so that the same model gives the same bytes."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the tensors begin at a multiple of 8 bytes
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def load_model(path: str | os.PathLike[str]) -> nn.Module:
    """Read a network that `save_model` wrote: built anew, with its weights, in evaluation mode.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a safetensors file, or not one of `save_model`, or its weights do not fit its network.

    Example: see `save_model`.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is not a dict)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is not a whole safetensors file: {error}") from error
    if _KEY not in metadata:
        raise ValueError(f"{path} was not written by featherweight.save_model: its metadata has no {_KEY!r}")
    record = json.loads(metadata[_KEY])
    model = _build(record["name"], record["options"])
    try:
        model.load_state_dict(tensors, assign=True)
    except RuntimeError as error:
        raise ValueError(f"the weights in {path} do not fit its network {record['name']}: {error}") from error
    for norm in _batch_norms(model):
        norm.eps = record["batch_norm_eps"]
    return model.eval()


def _build(name: str, options: Mapping[str, object]) -> nn.Module:
    """Build without weights."""
    with on_meta_device():
        return create(name, **options)  # type: ignore[arg-type]
