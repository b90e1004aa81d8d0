"""Weights from elsewhere, and to and from files of our own."""

import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import safetensors.torch
from torch import Tensor, nn

from featherweight._files import write_atomically

from ._checkpoints import COUNTERS, OURS, Checkpoint, read_checkpoint, read_safetensors, record_in
from ._counterparts import SAME_PADDING, layout, other_options, recognize
from ._meta import on_meta_device
from ._registry import create
from ._structure import Ends, Fitted, ends, fit, order_by_name


class WeightsWarning(UserWarning):
    """Weights were made to fit, or do not give quite what they gave where they come from."""


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What `load_weights` did; its text says it in lines.

    Args:
        source: where the weights come from.
        tensors: how many were taken.
        order: how they were matched: "by name", "in their order", or in that of a network of torchvision or timm.
        remarks: a line for what their owner should know to get the same outputs.
        adapted: a line for what was changed to fit.
        dropped: a line for what was left out.
    """

    source: str
    tensors: int
    order: str
    remarks: tuple[str, ...] = ()
    adapted: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()

    def __str__(self) -> str:
        first = f"{self.tensors} tensors of {self.source}, {self.order}"
        return "\n".join((first, *self.remarks, *self.adapted, *self.dropped))


def load_weights(
    model: nn.Module,
    source: Mapping[str, object] | str | os.PathLike[str],
    *,
    batch_norm_eps: float | None = None,
    adapt: bool = False,
    entry: str | None = None,
) -> Loaded:
    """Fill a network with the weights of the same network of torchvision, timm, its authors, or a file of ours.

    Where the names are ours they decide. Else names do not matter, structure does: the tensors of both are gone
    through in order, and each pair must have the same role (weight, bias, running mean or variance) and the same
    shape. A linear layer and a convolution over the whole of its map count as the same. A safetensors file keeps its
    tensors sorted by name; their order is then that of torchvision's or timm's network that has the same names.

    A file of torch.save is read as tensors, numbers, text and containers of them; one that holds more is refused, not
    run.

    Args:
        source: a state dict; or the path of a file that ends in .safetensors or, of torch.save, in .pth, .pt, .bin,
            .tar or .ckpt. What training scripts wrap it in is taken off: an entry "state_dict_ema", "model_ema",
            "state_dict" or "model" (the first that is there), and "module." or "_orig_mod." before all names.
        batch_norm_eps: what the other network's batch norms add to the variance. It belongs to the weights: with
            another value the outputs differ. Default: what a file of `save_model` says; what torchvision's or timm's
            network with the same names has (1e-3 in torchvision's MobileNetV3 and most EfficientNets); else 1e-5.
        adapt: make weights fit that are for another number of input channels (m' from c: w'[:, j] = w[:, j mod c] *
            c / m', or the sum over the channels for one), and leave out a classifier for another number of classes,
            ours then staying as it was. Done with a `WeightsWarning`.
        entry: of a file or dictionary, where the state dict is.
    Returns: what was done.
    Raises:
        FileNotFoundError: no such file.
        ValueError: the file cannot be read or holds no state dict; or the structures differ, and the message names the
            first pair that does. The model is unchanged.

    Example:
        >>> from featherweight.networks import create
        >>> theirs = {f"net.{name}": tensor for name, tensor in create("mobilenet_v2", width=0.35).state_dict().items()}
        >>> print(load_weights(create("mobilenet_v2", width=0.35), theirs))
        262 tensors of a state dict, in their order
        >>> load_weights(create("mobilenet_v2", width=0.5), theirs)
        Traceback (most recent call last):
        ...
        ValueError: tensor 26 differs: body.1.project.conv.weight [16, 48, 1, 1] here, net... [8, 48, 1, 1] there
    """
    loaded = fill(model, read_checkpoint(source, entry), batch_norm_eps=batch_norm_eps, adapt=adapt)
    say(loaded, stacklevel=3)
    return loaded


def fill(model: nn.Module, checkpoint: Checkpoint, *, batch_norm_eps: float | None, adapt: bool) -> Loaded:
    """Do what `load_weights` describes, in silence."""
    remarks: tuple[str, ...] = ()
    if batch_norm_eps is None:
        batch_norm_eps = checkpoint.batch_norm_eps
    ours = model.state_dict()
    fitted, order = _fit(model, {name: ours[name] for name in ours if not name.endswith(COUNTERS)}, checkpoint, adapt)
    counted = {
        _beside(name, COUNTERS[0]): checkpoint.counters[_beside(theirs, COUNTERS[0])]
        for name, theirs in fitted.partners.items()
        if name.endswith("running_var") and _beside(theirs, COUNTERS[0]) in checkpoint.counters
    }
    if batch_norm_eps is None and order != "by name":
        batch_norm_eps, remarks = _settings_of_peers(model, checkpoint)
    model.load_state_dict({**ours, **fitted.tensors, **counted})
    if batch_norm_eps is not None:
        for norm in _batch_norms(model):
            norm.eps = batch_norm_eps
    return Loaded(
        source=checkpoint.source, tensors=len(fitted.tensors), order=order, remarks=remarks,
        adapted=fitted.adapted, dropped=fitted.dropped,
    )  # fmt: skip


def say(loaded: Loaded, *, stacklevel: int) -> None:
    """Warn of what must be known, was changed and left out."""
    for line in (*loaded.remarks, *loaded.adapted, *loaded.dropped):
        warnings.warn(f"weights from {loaded.source}: {line}", WeightsWarning, stacklevel=stacklevel)


def _settings_of_peers(model: nn.Module, checkpoint: Checkpoint) -> tuple[float | None, tuple[str, ...]]:
    """Return the eps of the libraries' network with the checkpoint's names, and what to say of it."""
    peers = recognize(*_made_by(model), checkpoint.tensors)
    if not peers:
        return None, ()
    first, *others = peers
    remarks = [SAME_PADDING.format(first)] if first.same_padding else []
    if other := next((peer for peer in others if peer.batch_norm_eps != first.batch_norm_eps), None):
        remarks.append(
            f"taken for {first}, whose batch norms have eps {first.batch_norm_eps:g}; {other} has the same names: if "
            f"they are its weights, load_weights needs batch_norm_eps={other.batch_norm_eps:g}"
        )
    return first.batch_norm_eps, tuple(remarks)


def _made_by(model: nn.Module) -> tuple[str, dict[str, object]]:
    """Return the name and options that `create` left on a network; of others, a name that none has."""
    name, options = getattr(model, "name", None), getattr(model, "options", None)
    return (name, options) if isinstance(name, str) and isinstance(options, dict) else ("", {})


def _fit(model: nn.Module, ours: Mapping[str, Tensor], checkpoint: Checkpoint, adapt: bool) -> tuple[Fitted, str]:
    """Fit the tensors in the first order that fits; say which."""
    places = ends(model)
    failure: ValueError | None = None
    for how, order in _orders(model, ours, checkpoint, places):
        try:
            return fit(ours, checkpoint.tensors, order, ends=places, adapt=adapt), how
        except ValueError as error:
            failure = failure or error
    if (meant := other_options(_made_by(model)[0], checkpoint.tensors)) is not None:
        raise ValueError(f"{checkpoint.source} has the names and shapes of {meant}, which is {meant.ours}") from failure
    if failure is None:
        first = next((name for name in checkpoint.tensors if name not in ours), "none of ours is there")
        raise ValueError(
            f"{checkpoint.source} is sorted by names, and they are neither this network's nor those of the same "
            f"network of an installed torchvision or timm, so that nothing says which is which; the first: {first}"
        )
    raise failure


def _orders(
    model: nn.Module, ours: Mapping[str, Tensor], checkpoint: Checkpoint, places: Ends | None
) -> Iterator[tuple[str, Sequence[str]]]:
    """Go through the orders in which their tensors may be ours."""
    theirs = checkpoint.tensors
    by_name = order_by_name(ours, theirs, places)
    if by_name is not None:
        yield "by name", by_name
        return
    if checkpoint.ordered:
        yield "in their order", list(theirs)
    for counterpart in recognize(*_made_by(model), theirs):
        yield f"in the order of {counterpart}", list(layout(counterpart))


def _beside(name: str, attribute: str) -> str:
    return f"{name.rpartition('.')[0]}.{attribute}"


def _batch_norms(model: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    return [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


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
    if metadata and OURS in metadata:
        raise ValueError(f"the metadata key {OURS!r} is ours; call yours otherwise")
    record = json.dumps({"version": version("featherweight"), **_recipe(model)})
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    content = safetensors.torch.save(tensors, {**(metadata or {}), OURS: record})
    write_atomically(path, _metadata_in_order(content))
    return Path(path)


def _recipe(model: nn.Module) -> dict[str, object]:
    """Say how `load_model` builds this model, having checked that it would get the same structure."""
    name, options = _made_by(model)
    if not name:
        raise ValueError(
            "only a network made by featherweight.create, with its own layers, can be saved so that it can be built "
            f"again; of this {type(model).__name__}, keep the state_dict"
        )
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
    tensors, metadata = read_safetensors(path)
    if OURS not in metadata:
        raise ValueError(f"{path} was not written by featherweight.save_model: its metadata has no {OURS!r}")
    record = record_in(metadata, path)
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
