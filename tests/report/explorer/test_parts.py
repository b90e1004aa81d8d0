"""The explorer's other parts in headless Chromium: table, roofline, history, blocks; and the page as a whole."""

import json
from itertools import pairwise
from typing import Any

import pytest

from featherweight.networks import create, history, on_meta_device
from featherweight.report import Zoo, ZooNetwork

V2 = "mobilenet_v2 @224"
PHONE = (360, 740)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("params", lambda one: one.counts.params),
        ("terms", lambda one: one.counts.terms),
        ("memory", lambda one: one.peak_memory_bytes["float32"]),
    ],
)
def test_the_table_sorts_both_ways(page: Any, networks: list[ZooNetwork], column: str, value: Any) -> None:
    page.open()
    values = {str(one.variant): value(one) for one in networks}
    page.click(f'[data-sort="{column}"]')
    up = [values[row] for row in page.rows()]
    assert up == sorted(up)
    assert page.find(f'th:has([data-sort="{column}"])').get_attribute("aria-sort") == "ascending"
    page.click(f'[data-sort="{column}"]')
    assert [values[row] for row in page.rows()] == sorted(up, reverse=True)


@pytest.mark.parametrize("number", [0, 1])
def test_the_table_sorts_latencies_both_ways_and_ends_with_gaps(page: Any, zoo: Zoo, number: int) -> None:
    timings = zoo.latencies[number].timings
    key = ("predicted-eager-1", "measured-onnx-2")[number]
    page.open()
    for order, sign in (("ascending", 1), ("descending", -1)):
        page.click(f'[data-sort="{key}"]')
        rows = page.rows()
        known = [sign * timings[row].seconds for row in rows if row in timings]
        assert known == sorted(known)
        assert len(known) > 3
        assert all(row in timings for row in rows[: len(known)])
        assert page.find(f'th:has([data-sort="{key}"])').get_attribute("aria-sort") == order


def test_the_table_begins_with_the_most_accurate_and_ends_with_gaps(page: Any) -> None:
    page.open()
    cells = page.js("return [...document.querySelectorAll('#table tbody tr')].map(one => one.children[4].textContent)")
    assert cells[-1] == "\N{EN DASH}"  # channelnet_v2: nobody printed one
    known = [float(cell.split("\u00a0")[0]) for cell in cells[:-1]]
    assert known == sorted(known, reverse=True)


@pytest.mark.parametrize("clipboard", ["allowed", "refused", "missing"])
def test_a_row_is_copied_as_the_line_that_builds_it(page: Any, clipboard: str) -> None:
    page.open(view="#search=mobilenet+0.35")
    page.js(
        """window.copied = null; const [mode] = arguments;
        const write = async text => { if (mode === 'refused') throw new Error('no'); window.copied = text; };
        Object.defineProperty(navigator, 'clipboard', {value: mode === 'missing' ? undefined : {writeText: write}});
        document.execCommand = () => { window.copied = document.activeElement.value; return true; }""",
        clipboard,
    )
    page.click('#table tr[data-id="mobilenet_v2 width=0.35 @224"] .copy')
    page.wait("window.copied")
    line = page.js("return window.copied")
    assert line == 'featherweight.create("mobilenet_v2", width=0.35)'
    assert line in page.text("#copied")
    with on_meta_device():
        assert create("mobilenet_v2", width=0.35).options == {"width": 0.35}


def test_where_nothing_can_copy_the_line_is_selected_to_be_copied_by_hand(page: Any) -> None:
    page.open()
    page.js("Object.defineProperty(navigator, 'clipboard', {value: undefined}); document.execCommand = () => false")
    page.click("#copy")
    page.wait("document.querySelector('.copy-field')")
    selected = page.js(
        "const one = document.activeElement; return one.value.slice(one.selectionStart, one.selectionEnd)"
    )
    assert selected == 'featherweight.create("mobilenet_v2")'
    assert "Ctrl+C" in page.text("#details .copied")


def test_a_name_in_the_table_is_chosen_in_the_chart(page: Any) -> None:
    page.open()
    page.click('#table tr[data-id="squeezenet @227"] .pick')
    assert page.text("#details h2") == "squeezenet"
    assert "chosen" in page.kind("squeezenet @227")
    assert page.find('#table tr[data-id="squeezenet @227"]').get_attribute("class") == "chosen"


def test_a_layer_stands_on_the_roofline_where_its_counts_say(page: Any, between: Any, zoo: Zoo) -> None:
    page.open()
    (network,) = (one for one in zoo.networks if str(one.variant) == V2)
    seconds = zoo.latencies[0].layer_seconds[V2]
    for index in (0, 1, len(network.layers) - 1):
        layer, took = network.layers[index], seconds[index]
        assert took
        left, top = page.place(str(index), "#roof-chart")
        intensity = layer.terms / layer.bytes_moved
        assert left == pytest.approx(between(intensity, page.ticks("x", "#roof-chart"), log=True), abs=1.5)
        assert top == pytest.approx(between(layer.terms / took, page.ticks("y", "#roof-chart"), log=True), abs=1.5)
    page.choose("#roof-times", "bound")
    layer = network.layers[-1]
    (ceilings,) = zoo.ceilings
    bound = min(
        ceilings.multiply_adds_per_second, layer.terms / layer.bytes_moved * ceilings.bandwidth_bytes_per_second[2**24]
    )
    _, top = page.place(str(len(network.layers) - 1), "#roof-chart")
    assert top == pytest.approx(between(bound, page.ticks("y", "#roof-chart"), log=True), abs=1.5)


def test_the_roofline_is_of_the_chosen_network_and_says_what_bounds_it(page: Any, networks: list[ZooNetwork]) -> None:
    page.open()
    ridge = 60e9 / 9e9
    for name in ("squeezenet @227", "adder_resnet20 @32"):
        page.choose("#roof-network", name)
        (network,) = (one for one in networks if str(one.variant) == name)
        page.wait(f"document.querySelectorAll('#roof-chart .point').length === {len(network.layers)}")
        left = sum(layer.terms / layer.bytes_moved < ridge for layer in network.layers)
        assert f"{len(network.layers)} layers multiply and add" in page.text("#roof-words")
        assert f"{left} layers lie left of it" in page.text("#roof-words")
        assert page.text("#details h2") == network.variant.name
    assert "adder" in page.text("#roof-kinds")
    assert page.js("return document.querySelectorAll('#roof-chart .roof').length") == 2


def test_the_history_shows_every_family_and_says_what_it_took(page: Any) -> None:
    page.open()
    boxes = page.js("return [...document.querySelectorAll('#history-picture a text')].map(one => one.textContent)")
    assert set(boxes) == {family.name for family in history().families}
    box = page.js(
        """const every = [...document.querySelectorAll('#history-picture a')];
        return every.find(one => one.querySelector('text').textContent === 'MobileNetV2').id"""
    )
    page.click(f"#{box} text")
    for edge in history().edges:
        if edge.target == "MobileNetV2":
            assert f"from {edge.source}: {edge.reason}" in page.text("#family")
    page.click("#family .actions button")
    assert {name.split()[0] for name in page.shown()} == {"mobilenet_v2"}


def test_who_goes_from_family_to_family_by_keys_keeps_his_place(page: Any) -> None:
    page.open(view="#family=MobileNetV2")
    page.js("document.querySelector('#family button.link').focus()")
    page.keys("ENTER")
    heading = page.text("#family h3")
    assert not heading.startswith("MobileNetV2,")
    assert page.js("return document.activeElement.tagName + document.activeElement.innerText") == f"H3{heading}"
    page.keys("TAB")
    assert page.js("return Boolean(document.activeElement.closest('#family'))")


def test_what_is_read_aloud_is_written_anew_only_where_it_changes(page: Any) -> None:
    page.open(view="#family=MobileNetV2")
    regions = list(page.js("return [...document.querySelectorAll('[aria-live]')].map(one => `#${one.id}`)"))
    assert set(regions) == {"#details", "#roof-words", "#family", "#block-words"}
    mark = "for (const one of arguments[0]) document.querySelector(one).firstElementChild.dataset.kept = '1'"

    def kept() -> list[str]:
        marked = "return arguments[0].filter(one => document.querySelector(one).firstElementChild.dataset.kept)"
        return list(page.js(marked, regions))

    page.js(mark, regions)
    page.type("#search", "mobilenet")
    page.type("#max_params", "3")
    page.choose("#x", "params")
    assert kept() == regions
    for change, value, anew in (
        ("network", "squeezenet @227", ["#details", "#roof-words"]),
        ("numbers", "int8", ["#details"]),
        ("times", "bound", ["#roof-words"]),
        ("family", "SqueezeNet", ["#family"]),
        ("block", "InvertedResidual", ["#block-words"]),
    ):
        page.js("look({[arguments[0]]: arguments[1]})", change, value)
        page.wait(f"!document.querySelector('{anew[-1]}').firstElementChild.dataset.kept")
        assert kept() == [one for one in regions if one not in anew]
        page.js(mark, regions)


def test_a_network_without_predicted_times_has_the_least_that_the_ceilings_allow(page: Any) -> None:
    page.open(view="#network=adder_resnet20+@32")
    offered = page.js("return [...document.querySelectorAll('#roof-times option')].map(one => one.value)")
    assert offered == ["bound"]
    assert "of the least time" in page.text("#roof-words")
    assert "Times:" not in page.text("#roof-words")


def test_blocks_are_turned_over(page: Any) -> None:
    page.open()
    names = [page.js("return document.querySelector('#block').value")]
    assert page.js("return document.querySelectorAll('#block-picture svg .link').length") > 10
    page.click("#block-after")
    names.append(page.js("return document.querySelector('#block').value"))
    assert names == ["Fire", "InvertedResidual"]
    page.wait("document.querySelector('#block-picture').dataset.block === 'InvertedResidual'")
    page.click("#block-words button")  # the first network that has it
    assert page.text("#details h2") == "mobilenet_v2"


def test_nothing_is_fetched_and_the_page_is_there_soon(page: Any, browser: Any) -> None:
    browser.get_log("performance")
    page.open()
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requests = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    fetched = {one["request"]["url"] for one in requests if one["documentURL"].startswith(page.address)}
    assert {url for url in fetched if not url.startswith("data:")} == {page.address}
    assert (
        page.js("return performance.getEntriesByType('resource').filter(one => !one.name.startsWith('data:')).length")
        == 0
    )
    assert (
        float(page.js("return document.documentElement.dataset.ready")) < 10_000
    )  # milliseconds; 2 s where all is quiet


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_the_page_never_scrolls_sideways(page: Any, width: int) -> None:
    page.open((width, 800))
    page.js("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.js("return document.documentElement.scrollWidth") <= width
    outside = page.js(
        """return [...document.querySelectorAll('main *')]
             .filter(one => !one.closest('.scroll, svg, [hidden]') && one.getBoundingClientRect().right > innerWidth)
             .map(one => one.outerHTML.slice(0, 200))"""
    )
    assert outside == []


def test_on_a_phone_a_tap_shows_and_chooses(page: Any) -> None:
    page.open(PHONE)
    page.js("document.querySelector('#chart').scrollIntoView({block: 'center'})")
    page.point("channelnet_v2 @224", click=True)
    assert page.text("#chart .tip strong") == "channelnet_v2"
    assert page.text("#details h2") == "channelnet_v2"
    tip = page.js("return document.querySelector('#chart .tip').getBoundingClientRect().toJSON()")
    assert tip["left"] >= 0
    assert tip["right"] <= PHONE[0]
    smallest = page.js(
        """return Math.min(...[...document.querySelectorAll('#chart text, #roof-chart text')].map(one =>
             parseFloat(getComputedStyle(one).fontSize) * Math.hypot(one.getScreenCTM().a, one.getScreenCTM().b)))"""
    )
    assert smallest >= 9


@pytest.mark.parametrize("dark", [False, True])
def test_text_and_marks_stand_out_in_light_and_dark(page: Any, dark: bool) -> None:
    page.open(dark=dark)
    paper = luminance(page.js("return getComputedStyle(document.body).backgroundColor"))
    assert (paper < 0.1) == dark
    for selector in ("p", "h1", "#count", "select", "#details dt", "#table small", "#table .pick", "#chart .tick"):
        colour = page.js(
            """const one = document.querySelector(arguments[0]); const style = getComputedStyle(one);
            return one.closest('svg') ? style.fill : style.color""",
            selector,
        )
        assert contrast(luminance(colour), paper) >= 4.5, f"{selector}: {colour}"
    fills = page.js(
        """return [...document.querySelectorAll('#chart .point.own .outline')].map(one => getComputedStyle(one).fill)"""
    )
    assert all(contrast(luminance(colour), paper) >= 3 for colour in set(fills))


def contrast(one: float, other: float) -> float:
    light, deep = sorted((one, other), reverse=True)
    return (light + 0.05) / (deep + 0.05)


def luminance(colour: str) -> float:
    """Relative luminance of 'rgb(r, g, b)', as WCAG 2 defines it."""
    channels = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_part_is_reached_and_named(page: Any) -> None:
    page.open()
    nameless = page.js(
        """const named = one => one.getAttribute('aria-label') || one.closest('label') || one.textContent.trim();
           const every = [...document.querySelectorAll('button, input, select, [role=button], th')];
           const bad = every.filter(one => !named(one));
           const wanted = ['svg:not([aria-label]):not([aria-hidden])', 'th:not([scope])'];
           return [...bad, ...document.querySelectorAll(wanted.join())].map(one => one.outerHTML.slice(0, 200))"""
    )
    assert nameless == []
    levels = page.js("return [...document.querySelectorAll('h1, h2, h3')].map(one => Number(one.tagName[1]))")
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert page.js("return document.querySelectorAll('#chart .point[tabindex=\"0\"]').length") == 1
    spoken = page.js(f"return document.querySelector('[data-id=\"{V2}\"]').getAttribute('aria-label')")
    spoken = spoken.replace("\u00a0", " ")
    assert "top-1 72 %, top-5 " not in spoken
    assert spoken.startswith("mobilenet_v2: options 224 px, top-1 72 %, source MobileNetV2, Table 4")
