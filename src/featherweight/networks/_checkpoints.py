"""Files of weights, from anywhere: what is in them, read without running anything that is in them."""

import json
import os
import pickle
import re
import struct
import sys
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import torch
from torch import Tensor

from featherweight._files import ADDER_INT8

OURS = "featherweight"  # key of our entry in a safetensors file's metadata
PICKLES = (".pth", ".pt", ".bin", ".tar", ".ckpt")
ENTRIES = ("state_dict_ema", "model_ema", "state_dict", "model")
"""Under which training scripts keep a state dict; the first that is there is taken, averaged weights before others."""
OTHERS = {
    ".fwz": "a packed network: `featherweight unpack` it first",
    ".onnx": "an ONNX file, which is not read as a network; give the model.safetensors it was made from",
}
"""What files are, by their suffix, that are no safetensors."""
WRAPPERS = ("module.", "_orig_mod.")  # put before all names by DistributedDataParallel and torch.compile
# What PyTorch's reader raises where bytes are changed or missing: found by changing and cutting some.
_DAMAGED = (RuntimeError, EOFError, LookupError, struct.error, AssertionError, TypeError, ValueError, AttributeError)
COUNTERS = ("num_batches_tracked", "n_averaged")  # of training steps: no weights, and peers' files may lack them


class Checkpoint(NamedTuple):
    """Weights with where they come from.

    Args:
        tensors: without the counters of batch norms.
        counters: of batch norms.
        source: text for messages.
        ordered: whether the tensors come as the network registered them; safetensors files sort them by name.
        batch_norm_eps: of the network they belong to, where the file says.
    """

    tensors: dict[str, Tensor]
    counters: dict[str, Tensor]
    source: str
    ordered: bool
    batch_norm_eps: float | None = None


def read_checkpoint(source: Mapping[str, object] | str | os.PathLike[str], entry: str | None = None) -> Checkpoint:
    """Find the state dict in a file, or in what was read from one.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file cannot be read, or holds no state dict.
    """
    if isinstance(source, Mapping):
        return _checkpoint(source, entry, "a state dict", ordered=True)
    if not Path(source).is_file():
        raise FileNotFoundError(f"no such file: {source}")
    suffix = Path(source).suffix
    if suffix == ".safetensors":
        tensors, metadata = read_safetensors(source)
        eps = record_in(metadata, source)["batch_norm_eps"] if OURS in metadata else None
        return _checkpoint(tensors, entry, str(source), ordered=False)._replace(batch_norm_eps=eps)
    if suffix in PICKLES:
        return _checkpoint(_read_pickle(source), entry, str(source), ordered=True)
    raise ValueError(
        f"{source} cannot be weights by its name: they end in .safetensors or, written by torch.save, in "
        f"{', '.join(PICKLES)}"
    )


def read_safetensors(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return a safetensors file's tensors and metadata. Raises: ValueError: it is none, not whole, or in bytes."""
    if (suffix := Path(path).suffix.lower()) in OTHERS:
        raise ValueError(f"{path} is {OTHERS[suffix]}")
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") == ADDER_INT8:
                raise ValueError(
                    f"{path} is an AdderNet in bytes, for `featherweight predict`; give the model.safetensors it was "
                    "made from"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is not a dict)
            return tensors, metadata
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is not a whole safetensors file: {error}") from error


def record_in(metadata: Mapping[str, str], path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what `save_model` wrote of the network. Raises: ValueError: it is not that."""
    try:
        record = json.loads(metadata[OURS])
    except ValueError as error:
        raise ValueError(f"{path} is damaged: its metadata's {OURS!r} is not JSON: {error}") from error
    if not isinstance(record, dict) or not {"name", "options", "batch_norm_eps"} <= record.keys():
        raise ValueError(f"{path} was not written by featherweight.save_model: its metadata's {OURS!r} is {record!r}")
    if record["batch_norm_eps"] is not None:
        try:
            check_eps(record["batch_norm_eps"])
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    return record


def check_eps(eps: object) -> float:
    """Return it as it came. Raises: ValueError: it is nothing that a batch norm can add to a variance."""
    if not isinstance(eps, int | float) or isinstance(eps, bool) or not 0 < eps <= sys.float_info.max:
        raise ValueError(f"the eps of batch norms is a finite number above 0; got {eps!r}")
    return eps


def _read_pickle(path: str | os.PathLike[str]) -> object:
    """Read what torch.save wrote: tensors, numbers, text, and containers of them; nothing else is unpickled."""
    try:
        with torch.serialization.safe_globals([Namespace]):  # a training script's options, which do nothing
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"(?:GLOBAL|global|class|function) ([\w.]+\.[\w.]+)", str(error))
        if not named:
            raise ValueError(f"{path} is no file of torch.save that holds tensors: {_first_line(error)}") from error
        raise ValueError(
            f"{path} is not read: besides tensors it holds {named[1]}, and to read that could run any program"
        ) from error
    except _DAMAGED as error:
        raise ValueError(f"{path} is not a whole file of torch.save: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    """Return the text of an error without PyTorch's explanations, which follow it."""
    return (str(error).splitlines() or [""])[0].split(". ")[0] or type(error).__name__


def _checkpoint(content: object, entry: str | None, source: str, *, ordered: bool) -> Checkpoint:
    state, entry = _state_dict(content, entry, source)
    tensors: dict[str, Tensor] = {}
    counters: dict[str, Tensor] = {}
    for name, tensor in zip(_unwrapped(list(state)), state.values(), strict=True):
        (counters if name.endswith(COUNTERS) else tensors)[name] = tensor
    return Checkpoint(tensors, counters, f"{source}, entry {entry!r}" if entry else source, ordered)


def _state_dict(content: object, entry: str | None, source: str) -> tuple[Mapping[str, Tensor], str | None]:
    """Return the state dict itself and, where it lies in an entry, the entry's name."""
    if not isinstance(content, Mapping):
        raise ValueError(f"{source} holds no state dict but a {type(content).__name__}")
    if entry is None and not _is_state_dict(content):
        entry = next((name for name in ENTRIES if _is_state_dict(content.get(name))), None)
        if entry is None:
            raise ValueError(f"{source} holds no state dict; it has the entries {_listed(content)}")
    state = content if entry is None else content.get(entry)
    if not _is_state_dict(state):
        raise ValueError(f"the entry {entry!r} of {source} is no state dict; it has the entries {_listed(content)}")
    return state, entry  # type: ignore[return-value]


def _is_state_dict(content: object) -> bool:
    return isinstance(content, Mapping) and all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in content.items()
    )


def _listed(content: Mapping[object, object]) -> str:
    names = [str(name) for name in content]
    return ", ".join(names[:8]) + (f", and {len(names) - 8} more" if len(names) > 8 else "") if names else "(none)"


def _unwrapped(names: list[str]) -> list[str]:
    """Take off what wrappers put before all names."""
    for wrapper in WRAPPERS * 2:  # in either order
        if all(name.startswith(wrapper) or name in COUNTERS for name in names):
            names = [name.removeprefix(wrapper) for name in names]
    return names
