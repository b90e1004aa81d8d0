"""The picture of a roofline: marks lie where their figures say, under their ceilings."""

import math
from pathlib import Path
from xml.etree import ElementTree

import pytest

from featherweight.report import Mark, write_roofline
from featherweight.report._roofline import draw

PEAKS = {"float32": 1e11}
BANDWIDTHS = {2**18: 1e11, 2**22: 5e10, 2**28: 1e10}


def mark(**changes) -> Mark:
    return Mark(**{"kind": "1x1", "intensity": 1.0, "rate": 1e9, "share": 0.1, "title": "body.1", **changes})


def picture(*marks: Mark) -> ElementTree.Element:
    return draw(marks, title="a network", note="a note", peaks=PEAKS, bandwidths=BANDWIDTHS)


def places(svg: ElementTree.Element) -> dict[str, tuple[float, float]]:
    found = {}
    for group in svg.iter("g"):
        if (title := group.findtext("title")) is not None:
            x, y = group.get("transform", "").removeprefix("translate(").rstrip(")").split(",")
            found[title.partition(",")[0]] = (float(x), float(y))
    return found


def test_equal_ratios_take_equal_room() -> None:
    at = places(picture(*(mark(title=f"{n}", intensity=10.0**n, rate=10.0 ** (9 + n)) for n in (-1, 0, 1))))
    (x0, y0), (x1, y1), (x2, y2) = at["-1"], at["0"], at["1"]
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2) and y0 - y1 == pytest.approx(y1 - y2, abs=0.2) and x0 < x1


def test_a_layer_at_its_bound_lies_on_its_ceiling() -> None:
    svg = picture(mark(title="memory", intensity=0.5, rate=5e9), mark(title="compute", intensity=15, rate=1e11))
    (first, second, third) = [
        [float(line.get(key, 0)) for key in ("x1", "y1", "x2", "y2")]
        for line in svg.iter("line")
        if line.get("class") == "ceiling"
    ]
    at = places(svg)
    assert first[1] == first[3] == pytest.approx(at["compute"][1], abs=0.1)
    assert second[3] == third[3] == pytest.approx(first[1], abs=0.1)  # slopes end at the peak
    x1, y1, x2, y2 = third
    x, y = at["memory"]
    assert y == pytest.approx(y1 + (x - x1) / (x2 - x1) * (y2 - y1), abs=0.2)


def test_areas_are_shares_and_all_lies_inside() -> None:
    svg = picture(mark(title="small", share=0.04), mark(title="large", share=0.16), mark(title="slow", rate=1.0))
    scale = {}
    for group in svg.iter("g"):
        if group.find("title") is not None:
            name = group.findtext("title", "").partition(",")[0]
            scale[name] = float(group.find("path").get("transform").removeprefix("scale(").rstrip(")"))
    assert scale["large"] == pytest.approx(2 * scale["small"])
    width, height = map(float, svg.get("viewBox", "").split()[2:])
    for x, y in places(svg).values():
        assert 0 < x < width and 0 < y < height and math.isfinite(y)


def test_kinds_have_a_legend_and_titles_are_escaped(tmp_path: Path) -> None:
    marks = [mark(kind=f"kind {n}", title="<b>") for n in range(9)]
    path = write_roofline(tmp_path / "a.svg", marks, title="<i>", note="", peaks=PEAKS, bandwidths=BANDWIDTHS)
    text = path.read_text(encoding="utf-8")
    assert "<b>" not in text and "<i>" not in text and "prefers-color-scheme: dark" in text
    written = [one.text for one in ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}text")]
    assert {f"kind {n}" for n in range(9)} <= set(written)


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    settings = {"title": "", "note": "", "peaks": PEAKS, "bandwidths": BANDWIDTHS}
    with pytest.raises(ValueError, match=r"written as \.svg; got '.*a\.png'"):
        write_roofline(tmp_path / "a.png", [mark()], **settings)
    with pytest.raises(ValueError, match="no layer computes anything"):
        write_roofline(tmp_path / "a.svg", [], **settings)
