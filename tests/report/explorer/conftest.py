"""The explorer's page of a small zoo, and a hand that clicks and types on it."""

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from featherweight.networks import variants
from featherweight.report import (
    Ceilings,
    LatencySeries,
    Timing,
    Zoo,
    ZooNetwork,
    block_picture,
    look_at,
    write_explorer,
)

PATTERNS = ("mobilenet_v2", "squeezenet", "resnet20", "adder_resnet20", "channelnet_v2", "igcv2", "vgg_small")
PHONE, DESKTOP = (360, 740), (1280, 900)
MACHINE = "Invented CPU, 2 processors"
PEAK, MEMORY, CACHE = 60e9, 9e9, 40e9
BANDWIDTH = {2**18: CACHE, 2**24: CACHE, 2**28: MEMORY}


@pytest.fixture(scope="session")
def networks() -> list[ZooNetwork]:
    return [look_at(one)[0] for one in variants() if one.name in PATTERNS]


@pytest.fixture(scope="session")
def zoo(networks: list[ZooNetwork]) -> Zoo:
    """A zoo with times that are easily told: each layer takes twice what the ceilings allow, five were measured.

    Of AdderNets nothing is predicted, SqueezeNets are guessed in part, and the first that was measured was noisy.
    """
    slow = {
        str(one.variant): [2 * max(layer.terms / PEAK, layer.bytes_moved / CACHE) for layer in one.layers]
        for one in networks
        if not one.variant.name.startswith("adder")
    }
    sums = {text: sum(seconds) for text, seconds in slow.items()}
    guessed = {
        text: Timing(
            seconds=s, low_seconds=0.9 * s, high_seconds=1.1 * s,
            unseen=("odd_pool",) if text.startswith("squeezenet") else (),
        )
        for text, s in sums.items()
    }  # fmt: skip
    measured = {
        text: Timing(
            seconds=s / 2, low_seconds=0.4 * s, high_seconds=0.6 * s, date="2030-05-17T09:00:00+00:00",
            noise="drifted by +5%" if number == 0 else "",
        )
        for number, (text, s) in enumerate(list(sums.items())[:5])
    }  # fmt: skip
    predicted = LatencySeries(
        measured=False, runtime="eager", threads=1, machine=MACHINE, timings=guessed, layer_seconds=slow
    )
    taken = LatencySeries(measured=True, runtime="onnx", threads=2, machine=MACHINE, timings=measured)
    return Zoo(
        networks=networks,
        latencies=[predicted, taken],
        ceilings=[
            Ceilings(
                machine=MACHINE, date="2030-05-17T09:00:00+00:00", threads=1, multiply_adds_per_second=PEAK,
                bandwidth_bytes_per_second=BANDWIDTH,
            )
        ],
        blocks={name: block_picture(name) for name in ("Fire", "InvertedResidual")},
        notes=["A note of the test."],
    )  # fmt: skip


@pytest.fixture(scope="session")
def address(zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_explorer(zoo, tmp_path_factory.mktemp("explorer") / "explore.html").as_uri()


class Page:
    """The page as its reader has it."""

    def __init__(self, driver: Any, address: str) -> None:
        self.driver, self.address = driver, address

    def open(self, size: tuple[int, int] = DESKTOP, *, view: str = "", dark: bool = False) -> "Page":
        screen = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 500}
        features = {"prefers-color-scheme": "dark" if dark else "light", "prefers-reduced-motion": "reduce"}
        wanted = [{"name": name, "value": value} for name, value in features.items()]
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": wanted})
        self.driver.get("about:blank")
        self.driver.get(self.address + view)
        self.wait("document.querySelectorAll('#roof-chart .point').length > 0")
        return self

    def js(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def wait(self, condition: str, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while not self.js(f"return Boolean({condition})"):
            assert time.monotonic() < end, f"after {seconds} s still not: {condition}"
            time.sleep(0.02)

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def text(self, selector: str) -> str:
        return str(self.js("return document.querySelector(arguments[0]).innerText", selector)).replace("\u00a0", " ")

    def click(self, selector: str) -> None:
        element = self.find(selector)
        self.js("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def choose(self, selector: str, value: str) -> None:
        self.click(f'{selector} option[value="{value}"]')

    def type(self, selector: str, text: str) -> None:
        field = self.find(selector)
        self.js("arguments[0].scrollIntoView({block: 'center'})", field)
        field.clear()
        field.send_keys(text)

    def keys(self, *names: str) -> None:
        from selenium.webdriver import ActionChains
        from selenium.webdriver.common.keys import Keys

        for name in names:
            chain, key = ActionChains(self.driver), getattr(Keys, name.removeprefix("SHIFT_"))
            if name.startswith("SHIFT_"):
                chain.key_down(Keys.SHIFT).send_keys(key).key_up(Keys.SHIFT).perform()
            else:
                chain.send_keys(key).perform()

    def point(self, identity: str, *, click: bool = False) -> None:
        """Move the pointer to a mark, and click there."""
        from selenium.webdriver.common.actions.action_builder import ActionBuilder

        left, top = self.place(identity)
        x, y = self.js(
            "const box = document.querySelector('#chart svg').getBoundingClientRect(); return [box.x, box.y]"
        )
        actions = ActionBuilder(self.driver)
        actions.pointer_action.move_to_location(round(x + left), round(y + top))
        if click:
            actions.pointer_action.click()
        actions.perform()

    def shown(self) -> set[str]:
        return set(self.js("return [...document.querySelectorAll('#chart .point')].map(one => one.dataset.id)"))

    def rows(self) -> list[str]:
        return list(self.js("return [...document.querySelectorAll('#table tbody tr')].map(one => one.dataset.id)"))

    def place(self, identity: str, figure: str = "#chart") -> tuple[float, float]:
        """Return the middle of a mark, in pixels of its chart."""
        script = """const [figure, id] = arguments; const svg = document.querySelector(`${figure} svg`);
            const box = svg.querySelector(`.point[data-id="${id}"] .outline`).getBoundingClientRect();
            const { x, y } = svg.getBoundingClientRect();
            return [box.x + box.width / 2 - x, box.y + box.height / 2 - y]"""
        left, top = self.js(script, figure, identity)
        return left, top

    def kind(self, identity: str) -> list[str]:
        """Return the classes of a mark."""
        script = "return document.querySelector(`#chart .point[data-id=\"${arguments[0]}\"]`).getAttribute('class')"
        return str(self.js(script, identity)).split()

    def ticks(self, axis: str, figure: str = "#chart") -> dict[float, float]:
        """Return the ticks of an axis: value -> place, in pixels of the chart."""
        script = """const [figure, axis] = arguments; const found = {};
            for (const one of document.querySelectorAll(`${figure} [data-${axis}]`))
              found[one.dataset[axis]] = axis === "x" ? Number(one.dataset.at) : Number(one.getAttribute("y")) - 4;
            return found"""
        return {float(value): place for value, place in self.js(script, figure, axis).items()}


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Page]:
    yield Page(browser, address)
    assert browser.get_log("browser") == []


@pytest.fixture(scope="session")
def between() -> Callable[..., float]:
    """The function that tells where a value lies by the outermost ticks of an axis."""

    def place(value: float, ticks: dict[float, float], *, log: bool) -> float:
        low, high = min(ticks), max(ticks)
        scale = math.log if log else float
        share = (scale(value) - scale(low)) / (scale(high) - scale(low))
        return ticks[low] + share * (ticks[high] - ticks[low])

    return place
