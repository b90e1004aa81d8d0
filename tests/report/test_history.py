"""The picture of the field: boxes do not touch, edges go down and past the boxes, every edge says why."""

import itertools
from pathlib import Path
from xml.etree import ElementTree

import pytest

from featherweight.networks import history
from featherweight.report import write_history
from featherweight.report._history import colours, draw
from featherweight.report._layers import crossings, lay_out

FIELD = history()
SVG = draw(FIELD, link=lambda family: family.paper)


def boxes() -> dict[str, tuple[float, float, float, float]]:
    found = {}
    for group in SVG.iter("a"):
        rect, name = group.find("rect"), group.findtext("text")
        assert rect is not None
        assert name
        x, y, width, height = (float(rect.get(key, 0)) for key in ("x", "y", "width", "height"))
        found[name] = (x, y, x + width, y + height)
    return found


def ways() -> dict[str, list[tuple[float, float]]]:
    found = {}
    for group in SVG.iter("g"):
        if group.get("class", "").startswith("edge"):
            numbers = group.findall("path")[0].get("d", "").replace("M", " ").replace("C", " ").split()
            title = group.findtext("title")
            assert title
            found[title] = [(float(x), float(y)) for x, y in (pair.split(",") for pair in numbers)][::3]
    return found


def test_every_family_has_a_box_and_boxes_do_not_touch() -> None:
    found = boxes()
    assert found.keys() == {family.name for family in FIELD.families}
    for (_, a), (_, b) in itertools.combinations(found.items(), 2):
        assert a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]


def test_every_edge_has_its_reason_and_joins_its_boxes() -> None:
    found, places = ways(), boxes()
    for edge in FIELD.edges:
        way = found[f"{edge.target} builds on {edge.source}: {edge.reason}"]
        for (x, _), box in ((way[0], places[edge.source]), (way[-1], places[edge.target])):
            assert box[0] < x < box[2]
        heights = [y for _, y in way]
        assert heights == sorted(heights)


def test_edges_pass_beside_the_boxes_and_stay_inside() -> None:
    width = float(SVG.get("viewBox", "").split()[2])
    for way in ways().values():
        for x, y in way[1:-1]:
            assert 0 < x < width
            assert not any(left < x < right and top < y < bottom for left, top, right, bottom in boxes().values())


def test_colours_are_of_families_that_others_build_on() -> None:
    sources = {edge.source for edge in FIELD.edges}
    plain = {family.name for family in FIELD.families if family.ancestor or family.reference}
    assert colours(FIELD).keys() == sources - plain


def test_the_page_says_in_words_what_the_picture_shows(tmp_path: Path) -> None:
    page = write_history(FIELD, tmp_path / "field.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert page.count('class="family"') == len(FIELD.families)
    for target in [part.split('"')[0] for part in page.split('href="#')[1:]]:
        assert f'id="{target}"' in page


def test_the_picture_is_a_file_of_its_own(tmp_path: Path) -> None:
    root = ElementTree.parse(write_history(FIELD, tmp_path / "field.svg")).getroot()
    style = root.findtext("{http://www.w3.org/2000/svg}style")
    assert style
    assert "prefers-color-scheme: dark" in style
    assert root.get("width")


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"written as \.svg or \.html; got '.*field\.png'"):
        write_history(FIELD, tmp_path / "field.png")


def test_rows_are_ordered_so_that_edges_need_not_cross() -> None:
    rows = [["a", "b", "c"], ["d", "e", "f"]]
    edges = [("a", "f"), ("b", "e"), ("c", "d")]
    layout = lay_out(rows, edges, width=lambda box: 10.0, gap=4)
    upper, lower = (sorted(row, key=lambda box: layout.x[box]) for row in rows)
    below = {source: [target] for source, target in edges}
    assert crossings(upper, lower, below) == 0
    assert crossings(rows[0], rows[1], below) == 3


def test_an_edge_that_leads_nowhere_is_refused() -> None:
    with pytest.raises(ValueError, match="must lead to a later row; b -> a goes from 1 to 0"):
        lay_out([["a"], ["b"]], [("b", "a")], width=lambda box: 10.0, gap=4)
