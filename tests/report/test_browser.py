"""The page in headless Chromium: nothing is fetched, nothing is complained about, nothing sticks out."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from featherweight.report import write_report

PHONE, DESKTOP = (360, 740), (1280, 800)


@pytest.fixture(params=["digits_metrics", "letters_metrics"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return write_report(request.getfixturevalue(request.param), tmp_path / "report.html").as_uri()


def show(browser: Any, address: str, size: tuple[int, int], *, dark: bool = False, media: str = "") -> None:
    width, height = size
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": scheme})
    browser.get(address)


def test_nothing_is_fetched_and_nothing_complained_about(browser: Any, address: str) -> None:
    browser.get_log("performance")
    show(browser, address, DESKTOP)
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requests = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    fetched = [one["request"]["url"] for one in requests if one["documentURL"] == address]
    assert [url for url in fetched if not url.startswith("data:")] == [address]
    assert browser.get_log("browser") == []


@pytest.mark.parametrize(
    ("width", "media"), [(320, "screen"), (360, "screen"), (768, "screen"), (1280, "screen"), (720, "print")]
)
def test_the_page_never_scrolls_sideways(browser: Any, address: str, width: int, media: str) -> None:
    show(browser, address, (width, 800), media=media)
    browser.execute_script("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    outside = browser.execute_script(
        """return [...document.querySelectorAll('main *')]
             .filter(one => !one.closest('.scroll, svg') && one.getBoundingClientRect().right > innerWidth)
             .map(one => one.outerHTML.slice(0, 200))"""
    )
    assert outside == []


@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_the_verdict_is_on_the_first_screen(browser: Any, address: str, size: tuple[int, int]) -> None:
    show(browser, address, size)
    for selector in ("h1", ".tiles", ".budget"):
        box = browser.execute_script(f"return document.querySelector('{selector}').getBoundingClientRect().toJSON()")
        assert 0 <= box["top"] < box["bottom"] <= size[1], f"{selector} ends at {box['bottom']} of {size[1]} pixels"


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_in_light_and_dark(browser: Any, address: str, dark: bool) -> None:
    show(browser, address, DESKTOP, dark=dark)
    paper = luminance(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))
    assert (paper < 0.1) == dark
    for selector in ("p", "h1", "h2", ".quiet", "small", ".met", ".missed", "summary", "dt", "pre", ".chart .tick"):
        colour = browser.execute_script(
            f"""const one = document.querySelector('{selector}'); if (!one) return null;
            const style = getComputedStyle(one); return one.closest('svg') ? style.fill : style.color"""
        )
        if colour is not None:
            light, deep = sorted((luminance(colour), paper), reverse=True)
            assert (light + 0.05) / (deep + 0.05) >= 4.5, f"{selector}: {colour} on {paper:.2f}"


def luminance(colour: str) -> float:
    """Relative luminance of 'rgb(r, g, b)', as WCAG 2 defines it."""
    channels = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_charts_are_legible_on_a_phone(browser: Any, address: str) -> None:
    show(browser, address, PHONE)
    smallest = browser.execute_script(
        """return Math.min(...[...document.querySelectorAll('figure .chart text')].map(one =>
             parseFloat(getComputedStyle(one).fontSize) * one.getScreenCTM().a))"""
    )
    assert smallest >= 10


def test_what_is_folded_on_screen_is_printed(browser: Any, address: str) -> None:
    show(browser, address, (720, 1000), media="print")
    heights = browser.execute_script(
        """return [...document.querySelectorAll('details > :not(summary)')]
             .map(one => one.getBoundingClientRect().height)"""
    )
    assert heights
    assert min(heights) > 0


def test_every_part_is_reached_and_named(browser: Any, address: str) -> None:
    show(browser, address, DESKTOP)
    nameless = browser.execute_script(
        """const wanted = ['img:not([alt])', 'svg:not([aria-label]):not([aria-hidden])', 'th:not([scope])',
             '.scroll:not([tabindex="0"][aria-label])'];
           return [...document.querySelectorAll(wanted.join())].map(one => one.outerHTML.slice(0, 200))"""
    )
    assert nameless == []
    levels = browser.execute_script(
        "return [...document.querySelectorAll('h1, h2, h3')].map(one => Number(one.tagName[1]))"
    )
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    broken = browser.execute_script(
        """return [...document.querySelectorAll('a[href^="#"]')]
             .filter(one => !document.querySelector(one.hash)).length"""
    )
    assert broken == 0


def test_hostile_names_run_nothing(browser: Any, letters_metrics: dict[str, Any], tmp_path: Path) -> None:
    letters_metrics["data"]["name"] = "<img src=x onerror=\"document.title='run'\">"
    show(browser, write_report(letters_metrics, tmp_path / "report.html").as_uri(), DESKTOP)
    assert "<img" in browser.title
    assert browser.execute_script("return document.scripts.length") == 0
    assert browser.get_log("browser") == []
