"""Trained weights of torchvision and timm, fetched by those libraries' own means."""

import hashlib
import os
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from torch import Tensor, nn

from featherweight._extras import require

from ._checkpoints import read_checkpoint
from ._counterparts import LIBRARIES, SAME_PADDING, Counterpart, trained_counterpart
from ._weights import WeightsWarning, fill, say


class FetchError(OSError):
    """Weights could not be fetched, or what came is not what was asked for."""


def fill_from(weights: str | os.PathLike[str], model: nn.Module) -> None:
    """Fill a network made by `create` with weights of a library or of a file; `create` describes it.

    Raises:
        FileNotFoundError: `weights` is no library's name, and no file.
        FetchError: the library could not fetch its weights.
        ValueError: the library has no such network, or the file's weights do not fit.
    """
    if weights not in LIBRARIES:
        if not Path(weights).is_file():
            raise FileNotFoundError(f"no such file: {weights}; weights is {', '.join(LIBRARIES)}, or a file's path")
        say(fill(model, read_checkpoint(weights), batch_norm_eps=None, adapt=True), stacklevel=4)
        return
    name, options = str(model.name), dict(model.options)  # type: ignore[arg-type]
    counterpart = trained_counterpart(str(weights), name, options)
    checkpoint = read_checkpoint(fetch(counterpart))._replace(source=str(counterpart))
    say(fill(model, checkpoint, batch_norm_eps=counterpart.batch_norm_eps, adapt=True), stacklevel=4)
    if counterpart.same_padding:
        warnings.warn(SAME_PADDING.format(counterpart), WeightsWarning, stacklevel=3)


def fetch(counterpart: Counterpart) -> Mapping[str, Tensor]:
    """Return the trained weights of a network, from the library's cache or from where it keeps them.

    Raises: FetchError: they could not be reached, or are not those that the library names.
    """
    from_library = {"torchvision": _from_torchvision, "timm": _from_timm}[counterpart.library]
    with redirect_stdout(sys.stderr):  # "Downloading: ...": our output may be read by a program
        return from_library(counterpart)


def _from_torchvision(counterpart: Counterpart) -> Mapping[str, Tensor]:
    from torchvision.models import get_model_weights

    weights = get_model_weights(counterpart.theirs).DEFAULT
    with _fetching(counterpart, weights.url, OSError):
        state: Mapping[str, Tensor] = weights.get_state_dict(
            progress=sys.stderr.isatty(), check_hash=True, map_location="cpu", weights_only=True
        )
    return state


def _from_timm(counterpart: Counterpart) -> Mapping[str, Tensor]:
    timm = require("timm", extra="timm")
    hub = require("huggingface_hub", extra="timm")
    place = timm.get_pretrained_cfg(counterpart.theirs)
    timm.models.set_pretrained_check_hash(True)  # of files that it has by URL
    address = f"https://huggingface.co/{place.hf_hub_id}" if place.hf_hub_id else place.url
    with _fetching(counterpart, address, OSError, *hub.errors.HfHubHTTPError.__bases__):  # its HTTP client's errors
        model: nn.Module = timm.create_model(counterpart.theirs, pretrained=True)
    for file in ("model.safetensors", "pytorch_model.bin") if place.hf_hub_id else ():
        if isinstance(cached := hub.try_to_load_from_cache(place.hf_hub_id, file), str):
            _check_hub_file(counterpart, cached)
    return model.state_dict()


@contextmanager
def _fetching(counterpart: Counterpart, address: str, *errors: type[Exception]) -> Iterator[None]:
    """Turn what goes wrong on the way into one line. Raises: FetchError."""
    try:
        yield
    except errors as error:
        why = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise FetchError(
            f"the weights of {counterpart} could not be fetched from {address}: {why}. With the file at hand: "
            "weights='PATH'"
        ) from error
    except RuntimeError as error:
        if "invalid hash value" not in str(error):
            raise
        raise FetchError(f"what came from {address} is not {counterpart}: {error}") from error


def _check_hub_file(counterpart: Counterpart, path: str) -> None:
    """Hold the file against its SHA-256, which is the name that the hub's cache gives it.

    Raises: FetchError: it is another.
    """
    blob = Path(path).resolve()
    with blob.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if re.fullmatch(r"[0-9a-f]{64}", blob.name) and digest != blob.name:
        raise FetchError(f"{blob} is not {counterpart}: its SHA-256 is {digest}; remove it to have it fetched again")
