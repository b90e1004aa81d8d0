"""What every test runs under: no network, one thread, fixed seeds; and the command in this process."""

import functools
import json
import random
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import torch

if TYPE_CHECKING:
    from featherweight.networks import Network

HERE = ("localhost", "127.0.0.1", "::1")
SMALLEST = {"width": 0.25, "depth": 0.3}  # of those options that a network has, where no scale was printed
CHROMIUM_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--use-fake-device-for-media-stream",  # a camera for the page of `export --to web`,
    "--use-fake-ui-for-media-stream",  # lent without asking anybody
)


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


@pytest.fixture(autouse=True, scope="session")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What this machine's user has measured and calibrated is not for the tests, nor theirs for the user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("home")))
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the runs of `fit`: late, they would be shared out, and each worker make what they have in common."""
    items.sort(key=lambda item: "/fit/" not in item.nodeid)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `tiny` runs for every registered family, once for each set of parts it is made of."""
    if "tiny" in metafunc.fixturenames:
        forms = tiny_forms()
        metafunc.parametrize("tiny", forms.values(), ids=forms.keys(), indirect=True)


@functools.cache
def tiny_forms() -> dict[str, tuple[str, dict[str, object]]]:
    """Return of each family the first small form with each set of modules, over all printed choices of options."""
    from featherweight.networks import create, networks, on_meta_device

    forms: dict[tuple[str, frozenset[str]], tuple[str, dict[str, object]]] = {}
    for entry in networks():
        smallest = {option: value for option, value in SMALLEST.items() if option in entry.options}
        for chosen in chosen_forms(entry):
            options = {**smallest, **chosen, "num_classes": 5, "in_channels": 1, "small_input": True}
            with on_meta_device():
                parts = frozenset(type(module).__name__ for module in create(entry.name, **options).modules())
            forms.setdefault((entry.family, parts), (entry.name, options))
    return {f"{name}-{number}": form for number, (name, form) in enumerate((form[0], form) for form in forms.values())}


def chosen_forms(entry: "Network") -> list[dict[str, object]]:
    """Return the printed choices of a network that are no scales, each once; the defaults come first."""
    rows: list[Mapping[str, object]] = [{}, *(row.options for row in entry.published)]
    forms = [{option: value for option, value in row.items() if isinstance(value, bool | str)} for row in rows]
    return [form for i, form in enumerate(forms) if form not in forms[:i]]


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
        torch.nn.init.normal_(norm.bias, 1.0, 0.2)  # most passes a ReLU, else rounding grows with every layer
    model.train()
    for _ in range(4):
        model(torch.randn(8, *input_shape))
    last = [parameter for parameter in model.parameters() if parameter.ndim > 1][-1]
    torch.nn.init.normal_(last, 0.0, 0.1)
    return model.eval()


class Answer(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def featherweight(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Return a function that runs `featherweight` with the given words."""

    from featherweight.cli import main

    def run(*words: object) -> Answer:
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        code = end.value.code
        return Answer(code if isinstance(code, int) else 0, captured.out, captured.err)

    return run


@pytest.fixture
def workers_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure in this process: a child of its own takes seconds to import PyTorch. tests/bench has real ones."""
    from featherweight.bench._process import Worker, WorkerError
    from featherweight.bench._worker import Bench, answer

    benches: dict[Worker, Bench] = {}

    def ask(worker: Worker, **request: Any) -> Any:
        bench = benches.setdefault(worker, Bench(worker.runtime, worker.threads, []))
        found = json.loads(json.dumps(answer(bench, **request)))
        if "error" in found:
            raise WorkerError(found["error"])
        return found

    monkeypatch.setattr(Worker, "ask", ask)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Headless Chromium, which keeps what it logs."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="the browser test needs: pip install selenium")
    chromium, driver_path = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver_path):
        pytest.skip("the browser test needs chromium and chromedriver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*CHROMIUM_FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver_path))
    driver.get("about:blank")
    yield driver
    driver.quit()
