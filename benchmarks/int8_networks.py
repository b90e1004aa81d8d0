"""What int8_accuracy.py and ship_against_tools.py share: trained networks, one of each family, and the other tools.

Each network is trained for a short time, narrow, on built-in pictures; weights are kept in a folder, so that an
interrupted run goes on where it was. The characters, of which half are dark on light, are all made light on dark: what
else has to be learned first takes an hour more of a processor's time, and tells nothing of int8.
"""

import io
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from onnxruntime.quantization import quantize_static
from torch import nn

from featherweight.data import Pictures, characters, digits, preprocessing_for, split_pictures
from featherweight.export import load
from featherweight.networks import create, load_model, networks, save_model

CALIBRATION_PICTURES = 256
SHIFT = 1  # pixels, at most, of a training picture
SQUEEZENET = [  # version 1.1 with a quarter of its channels
    (16, 3), (3, 2), (4, 16, 16), (4, 16, 16), (3, 2), (8, 32, 32), (8, 32, 32), (3, 2), (12, 48, 48), (12, 48, 48),
    (16, 64, 64), (16, 64, 64),
]  # fmt: skip
NETWORKS: dict[str, dict[str, Any]] = {  # one of each family, cheap ones first; more of the three that are named
    "mobilenet_v3_small": {"width": 0.5},
    "efficientnet_b0": {"width": 0.25, "depth": 0.5},
    "ghostnet": {"width": 0.25},
    "mobilenet_v1": {"width": 0.25},
    "mobilenet_v2": {"width": 0.5},
    "shufflenet_v2": {"width": 0.5},
    "squeezenet": {"small_input": True, "table": SQUEEZENET},
    "resnet20": {"width": 0.5},
    "lenet5_bn": {},
    "shufflenet_v1": {"width": 0.25},
    "effnet": {"width": 0.5, "small_input": True},
    "vgg_small": {"width": 0.125},
    "condensenet_cifar": {"depth": 0.375},
    "igcv1_cifar": {"layers": 8},
    "igcv2_cifar": {"width": 0.0625},
    "channelnet_v1": {"width": 0.25},
    "micronet_m0": {},
    "efficientnet_v2_b0": {"width": 0.25, "depth": 0.5},
    "squeezenext": {"width": 0.5, "small_input": True},
    "mnasnet_b1": {"width": 0.25, "small_input": True},
    "igcv3": {"width": 0.5, "depth": 0.5},
    "fd_mobilenet": {"width": 0.25, "small_input": True},
    "xception": {"width": 0.125},
    "alexnet": {"width": 0.125, "small_input": True},
}
LEFT_OUT = {"AdderNet": "it has no ONNX file: its sums of differences go into bytes by a way of their own, adder-int8"}
LEARNING_RATE = {"squeezenet": 5e-4, "alexnet": 3e-4}  # they have no batch norm
SIDE = 32  # pixels


class Given(NamedTuple):
    """What a network is trained on, and how long; with less accuracy, in percent, it counts as not trained.

    More pictures to be held out tell a loss from chance: on 3720, one of a third of a point may be either.
    """

    read: Callable[[], Pictures]
    more: Callable[[], Pictures] | None
    epochs: int
    batch: int
    least_accuracy: float


DATA = {
    "digits": Given(digits, None, 30, 32, 80.0),
    "characters": Given(characters, partial(characters, per_class=400, seed=1), 20, 128, 60.0),
}


class Data(NamedTuple):
    """Pictures as the network takes them, and which are for what."""

    name: str
    x: np.ndarray
    y: np.ndarray
    train: np.ndarray
    held_out: np.ndarray
    metadata: dict[str, Any]

    @property
    def calibration(self) -> np.ndarray:
        """Training pictures of all classes."""
        return self.x[np.random.default_rng(0).permutation(self.train)[:CALIBRATION_PICTURES]]


def demand_every_family() -> None:
    """See that each family of the registry has a network here, or a reason. Raises: ValueError."""
    here = {network.family for network in networks() if network.name in NETWORKS}
    if missing := {network.family for network in networks()} - here - set(LEFT_OUT):
        raise ValueError(f"no network of {', '.join(sorted(missing))} in NETWORKS, and no reason in LEFT_OUT")


def prepared(name: str) -> Data:
    """Read, split and normalise the pictures."""
    pictures = DATA[name].read()
    split = split_pictures(pictures, seed=0)
    preprocessing = preprocessing_for(pictures, split.train, resolution=SIDE)
    more = DATA[name].more
    both = [pictures, *([more()] if more else [])]
    x = np.concatenate([preprocessing.normalize(one.at(preprocessing).permute(0, 2, 3, 1).numpy()) for one in both])
    held_out = np.concatenate([split.val, split.test, np.arange(len(pictures), len(x))])
    metadata = {"preprocessing": preprocessing.to_dict(), "labels": list(pictures.classes)}
    y = np.concatenate([one.labels for one in both])
    return Data(name, light_on_dark(x, len(pictures)), y, split.train, held_out, metadata)


def light_on_dark(x: np.ndarray, first: int) -> np.ndarray:
    """Turn the pictures [N, 1, H, W] over whose rim is lighter; mean 0 and standard deviation 1 over the first ones."""
    rim = np.concatenate([x[:, :, 0], x[:, :, -1], x[:, :, :, 0], x[:, :, :, -1]], axis=2).mean(axis=(1, 2))
    turned = np.where((rim > x.mean(axis=(1, 2, 3)))[:, None, None, None], -x, x)
    return np.ascontiguousarray((turned - turned[:first].mean()) / turned[:first].std(), np.float32)


def trained(network: str, data: Data, cache: Path, epochs: int | None = None) -> nn.Module:
    """Return a network from the cache, or train it: AdamW, one cycle, small shifts."""
    file = cache / f"{data.name}-{network}.safetensors"
    epochs, batch = epochs or DATA[data.name].epochs, DATA[data.name].batch
    if file.exists():
        return load_model(file)
    torch.manual_seed(0)
    options = {"num_classes": int(data.y.max()) + 1, "in_channels": 1, "small_input": False, "dropout": 0.0}
    model = create(network, **(options | NETWORKS[network])).to(memory_format=torch.channels_last)
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01, fused=True)
    steps = epochs * (len(data.train) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE.get(network, 5e-3), total_steps=steps)
    for step, chosen in enumerate(_batches(data.train, batch, steps)):
        shift = tuple(np.random.default_rng(int(chosen.sum())).integers(-SHIFT, SHIFT + 1, 2).tolist())
        logits = model(torch.roll(x[chosen], shift, (2, 3)))
        loss = nn.functional.cross_entropy(logits, y[chosen], label_smoothing=0.1)
        if step % max(1, steps // 5) == 0:
            print(f"training {network}: step {step} of {steps}, loss {loss:.2f}", file=sys.stderr, flush=True)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    save_model(model.to(memory_format=torch.contiguous_format).eval(), file)
    return model


def _batches(train: np.ndarray, batch: int, steps: int) -> Iterator[torch.Tensor]:
    draw = np.random.default_rng(0)
    while True:
        order = torch.from_numpy(draw.permutation(train))
        for start in range(0, len(order) - batch + 1, batch):
            if steps == 0:
                return
            steps -= 1
            yield order[start : start + batch]


def accuracy(path: Path, data: Data) -> float:
    """Return the share of held-out pictures that a file gets right, in percent."""
    return 100 * float(right(path, data).mean())


def right(path: Path, data: Data) -> np.ndarray:
    """Return which of the held-out pictures a file gets right, bool [N]."""
    found: np.ndarray = load(path)(data.x[data.held_out]).argmax(1) == data.y[data.held_out]
    return found


class CalibrationReader:
    """Calibration pictures as ONNX Runtime's tools ask for them."""

    def __init__(self, pictures: np.ndarray) -> None:
        self._batches = iter(np.array_split(pictures, max(1, len(pictures) // 32)))

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next batch; None: there are no more."""
        batch = next(self._batches, None)
        return None if batch is None else {"input": batch}


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what the other tools print and log to themselves."""
    logging.disable(logging.WARNING)
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.disable(logging.NOTSET)


def by_onnx_runtime(source: Path, target: Path, pictures: np.ndarray, **choices: Any) -> None:
    """Quantize with ONNX Runtime; its defaults: per tensor, smallest and largest value, signed activations."""
    with quiet():
        quantize_static(source, target, CalibrationReader(pictures), **choices)


def by_nncf(source: Path, target: Path, pictures: np.ndarray) -> None:
    """Quantize an ONNX file with NNCF's defaults."""
    import nncf
    import onnx

    batches = [{"input": picture[np.newaxis]} for picture in pictures]
    with quiet():
        quantized = nncf.quantize(onnx.load(source), nncf.Dataset(batches), subset_size=len(batches))
    for entry in onnx.load(source).metadata_props:  # it drops them
        if entry.key not in {one.key for one in quantized.metadata_props}:
            quantized.metadata_props.append(entry)
    onnx.save(quantized, target)
