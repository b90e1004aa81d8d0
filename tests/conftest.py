"""What every test runs under: no network, one thread, fixed seeds."""

import math
import random
import socket
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

HERE = ("localhost", "127.0.0.1", "::1")


def pytest_configure() -> None:
    torch.set_num_threads(1)
    _keep_to_this_machine()


def _keep_to_this_machine() -> None:
    """Refuse connections to other machines, in this process; the browser test talks to its driver on this one."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in HERE:  # type: ignore[index]
            raise RuntimeError(f"a test asked for the network: {address!r}")
        connect(self, address)  # type: ignore[arg-type]

    socket.socket.connect = guarded  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def fixed_seeds() -> Iterator[None]:
    """Each test draws the same numbers, whatever ran before it."""
    random.seed(0)
    np.random.seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `tiny` runs for every form of every registered family, each at its smallest width."""
    if "tiny" in metafunc.fixturenames:
        forms = tiny_forms()
        metafunc.parametrize("tiny", forms.values(), ids=forms.keys(), indirect=True)


def tiny_forms() -> dict[str, tuple[str, dict[str, object]]]:
    """Return each family's first network under every printed choice of options, scales (floats) at their smallest."""
    from featherweight.networks import networks

    forms: dict[tuple[str, str], tuple[str, dict[str, object]]] = {}
    for entry in networks():
        printed = sorted((dict(row.options) for row in entry.published), key=scale)
        for options in (*printed, {}):
            kept = (
                item for item in sorted(options.items()) if item[0] != "num_classes" and not isinstance(item[1], float)
            )
            form = "".join(f"-{key}={value}" for key, value in kept)
            wanted = {**options, "num_classes": 5, "in_channels": 1, "small_input": True}
            forms.setdefault((entry.family, form), (entry.name, wanted))
    return {name + form: (name, options) for (_, form), (name, options) in forms.items()}


def scale(options: dict[str, object]) -> float:
    """Multiply the width, depth and other scales among a network's options."""
    return math.prod(value for value in options.values() if isinstance(value, float))


@pytest.fixture
def tiny(request: pytest.FixtureRequest) -> torch.nn.Module:
    """A network for 5 classes of grey 16 x 16 pictures, in evaluation mode, whose logits are worth comparing."""
    from featherweight.networks import create

    name, options = request.param
    return calibrate(create(name, **options), (1, 16, 16))


@pytest.fixture(scope="session")
def calibrated() -> Callable[[torch.nn.Module, tuple[int, ...]], torch.nn.Module]:
    """The function that gives a network with fresh weights logits that are worth comparing."""
    return calibrate


@torch.no_grad()
def calibrate(model: torch.nn.Module, input_shape: tuple[int, ...]) -> torch.nn.Module:
    """Set batch-norm statistics and last layer so that the logits depend on the picture.

    The logits of a network with fresh weights are about 1e-9 in evaluation mode: any two would agree.
    """
    norms = [module for module in model.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = None  # the mean over all batches
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        torch.nn.init.normal_(norm.bias, 0.0, 0.2)
    model.train()
    for _ in range(4):
        model(torch.randn(8, *input_shape))
    last = [module for module in model.modules() if isinstance(module, torch.nn.Conv2d | torch.nn.Linear)][-1]
    torch.nn.init.normal_(last.weight, 0.0, 0.1)
    return model.eval()
