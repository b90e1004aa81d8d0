"""Weights from elsewhere."""

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from ._checkpoints import COUNTERS, Checkpoint, read_checkpoint
from ._counterparts import SAME_PADDING, layout, other_options, recognize
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
        for norm in batch_norms(model):
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
    peers = recognize(*made_by(model), checkpoint.tensors)
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


def made_by(model: nn.Module) -> tuple[str, dict[str, object]]:
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
    if (meant := other_options(made_by(model)[0], checkpoint.tensors)) is not None:
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
    for counterpart in recognize(*made_by(model), theirs):
        yield f"in the order of {counterpart}", list(layout(counterpart))


def _beside(name: str, attribute: str) -> str:
    return f"{name.rpartition('.')[0]}.{attribute}"


def batch_norms(model: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    return [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
