"""Networks to and from files of our own."""

import json
import os
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import safetensors.torch
from torch import nn

from featherweight._files import write_atomically
from featherweight.blocks import set_widths
from featherweight.cost import trace

from ._checkpoints import OURS, check_eps, read_safetensors, record_in
from ._meta import on_meta_device
from ._registry import create
from ._weights import batch_norms, made_by


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
    described = describe(model, metadata)
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    write_atomically(path, _metadata_in_order(safetensors.torch.save(tensors, described)))
    return Path(path)


def describe(model: nn.Module, metadata: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the metadata of a file of this network: those given, and the recipe that `build` follows.

    Raises: ValueError: as `save_model`.
    """
    if metadata and OURS in metadata:
        raise ValueError(f"the metadata key {OURS!r} is ours; call yours otherwise")
    record = json.dumps({"version": version("featherweight"), **_recipe(model)})
    return {**(metadata or {}), OURS: record}


def _recipe(model: nn.Module) -> dict[str, object]:
    """Say how `load_model` builds this model, having checked that it would get the same structure."""
    name, options = made_by(model)
    if not name:
        raise ValueError(
            "only a network made by featherweight.create, with its own layers, can be saved so that it can be built "
            f"again; of this {type(model).__name__}, keep the state_dict"
        )
    eps = sorted({norm.eps for norm in batch_norms(model)})
    if len(eps) > 1:
        raise ValueError(f"the batch norms of this {name} have different eps: {eps}; a file keeps one for all")
    if eps:
        check_eps(eps[0])
    try:
        options = json.loads(json.dumps(options))
    except TypeError as error:
        raise ValueError(f"the options of this {name} cannot be written to a file: {error}") from error
    widths = {layer: list(width) for layer, width in getattr(model, "widths", {}).items()}
    ours, built = model.state_dict(), _build(name, options, widths).state_dict()
    for tensor in ours | built:
        if tensor not in ours or tensor not in built or ours[tensor].shape != built[tensor].shape:
            raise ValueError(f"this {name} was changed since create({name!r}, ...) made it, first at {tensor}")
    recipe = {"name": name, "options": options, "batch_norm_eps": eps[0] if eps else None}
    return {**recipe, "widths": widths} if widths else recipe


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
    tensors, metadata = read_safetensors(path)
    model = build(metadata, path)
    try:
        # Copied, each to the start of a cache line: as slices of the file, sums over them would round differently.
        model.load_state_dict({name: tensor.clone() for name, tensor in tensors.items()}, assign=True)
    except RuntimeError as error:
        raise ValueError(f"the weights in {path} do not fit its network {made_by(model)[0]}: {error}") from error
    return model


def build(metadata: Mapping[str, str], path: str | os.PathLike[str]) -> nn.Module:
    """Build the network that a file's metadata describe, in evaluation mode and without weights.

    Raises: ValueError: they do not describe one.
    """
    if OURS not in metadata:
        raise ValueError(f"{path} was not written by featherweight.save_model: its metadata has no {OURS!r}")
    record = record_in(metadata, path)
    try:
        model = _build(record["name"], record["options"], record.get("widths", {}))
        for norm in batch_norms(model):
            norm.eps = check_eps(record["batch_norm_eps"])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return model.eval()


def _build(name: str, options: Mapping[str, object], widths: Mapping[str, Sequence[int]]) -> nn.Module:
    """Build without weights, and make layers as narrow as a pruned network's. Raises: ValueError: they do not fit."""
    with on_meta_device():
        model = create(name, **options)  # type: ignore[arg-type]
    if widths:
        if not isinstance(widths, Mapping):
            raise ValueError(f"the widths of a pruned network are an object by layer; got {widths!r}")
        set_widths(model, widths)
        model.widths = {layer: tuple(width) for layer, width in widths.items()}  # type: ignore[assignment]
        try:
            trace(model)
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"the widths of this pruned {name} do not fit one another: {error}") from error
    return model
