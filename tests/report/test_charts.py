"""Charts: values stand where the axes say, hostile names stay text, gaps stay gaps."""

import math
from xml.etree import ElementTree

import pytest

from featherweight.report._axes import linear_axis, log_axis
from featherweight.report._charts import (
    LEFT,
    RIGHT,
    SCATTER_TOP,
    WIDTH,
    Line,
    Point,
    heat_map,
    legend_mark,
    lines,
    scatter,
)


def found(svg: str, tag: str, **attributes: str) -> list[ElementTree.Element]:
    return [
        element
        for element in ElementTree.fromstring(svg).iter(tag)
        if all(value in element.get(name.rstrip("_"), "") for name, value in attributes.items())
    ]


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in found(svg, "text")]


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([0.934, 0.991], (0.92, 0.94, 0.96, 0.98, 1.0)),
        ([0, 30], (0, 10, 20, 30)),
        ([], (0, 0.5, 1)),
        ([math.nan, 1, 3, math.inf], (1, 1.5, 2, 2.5, 3)),
        ([1.0], (0.9, 0.95, 1.0)),
    ],
)
def test_linear_axis_has_round_ticks_that_hold_all_values(values: list[float], ticks: tuple[float, ...]) -> None:
    axis = linear_axis("x", values, str, ceiling=1 if values in ([1.0], [0.934, 0.991]) else math.inf)
    assert axis.ticks == pytest.approx(ticks)
    assert all(0 <= axis.at(value) <= 1 for value in values if math.isfinite(value))


@pytest.mark.parametrize("values", [[3e4, 2e6], [1e-4, 1.1e-4], [5.0], [], [0, -1, 7, 9], [1e-9, 1e9]])
def test_log_axis_has_ticks_and_holds_all_values(values: list[float]) -> None:
    axis = log_axis("x", values, str)
    assert len(axis.ticks) >= 2
    assert all(
        -1e-9 <= axis.at(value) <= 1 + 1e-9 for value in [*axis.ticks, *(value for value in values if value > 0)]
    )


def test_scatter_puts_points_where_the_axes_say() -> None:
    x, y = log_axis("size", [10, 1000], str), linear_axis("accuracy", [0, 1], str)
    svg = scatter([Point(x=x.high, y=y.high, series=0, title="corner")], x, y, title="chart")
    (mark,) = found(svg, "g", class_="mark")
    assert mark.get("transform") == f"translate({WIDTH - RIGHT:.1f},{SCATTER_TOP:.1f})"
    assert LEFT < WIDTH - RIGHT


def test_scatter_draws_the_winner_last_and_ringed() -> None:
    x, y = log_axis("size", [10, 1000], str), linear_axis("accuracy", [0, 1], str)
    roles = ["winner", "plain", "faded"]
    svg = scatter([Point(x=100, y=0.5, series=1, title=role, role=role) for role in roles], x, y, title="chart")
    assert [mark.findtext("title") for mark in found(svg, "g", class_="mark")] == ["faded", "plain", "winner"]
    assert len(found(svg, "circle", class_="ring")) == 1


def test_scatter_draws_limits_only_on_the_axis() -> None:
    x, y = log_axis("size", [10, 1000], "{:g} B".format), linear_axis("accuracy", [0, 1], "{:g}".format)
    points = [Point(x=100, y=0.5, series=0, title="one")]
    assert not found(scatter(points, x, y, title="", x_limit=5000), "line", class_="limit")
    svg = scatter(points, x, y, title="", x_limit=300, y_limit=0.75)
    assert len(found(svg, "line", class_="limit")) == len(found(svg, "rect", class_="beyond")) == 2
    assert {"limit 300 B", "at least 0.75"} <= set(texts(svg))


def test_points_without_accuracy_stand_in_a_strip_of_their_own() -> None:
    x, y = log_axis("size", [10, 1000], str), linear_axis("accuracy", [0, 1], str)
    known, unknown = Point(x=100, y=0.0, series=0, title="known"), Point(x=100, y=None, series=0, title="unknown")
    assert "not trained" not in texts(scatter([known], x, y, title=""))
    svg = scatter([known, unknown], x, y, title="")
    assert "not trained" in texts(svg)
    heights = [float(mark.get("transform", "").rstrip(")").split(",")[1]) for mark in found(svg, "g", class_="mark")]
    assert heights[1] > heights[0] + 10


def test_lines_break_where_a_value_is_missing() -> None:
    x, y = linear_axis("epoch", [0, 5], str), linear_axis("loss", [0, 1], str)
    svg = lines([Line(label="loss", x=range(5), y=[1.0, 0.5, None, math.nan, 0.2])], x, y, title="loss")
    assert len(found(svg, "polyline")) == 2
    assert len(found(svg, "circle")) == 1  # the single value after the gap


def test_heat_map_writes_counts_only_where_they_fit() -> None:
    small = heat_map([[9, 1], [0, 10]], ["a", "b"], title="matrix")
    assert [text for text in texts(small) if text.isdigit()] == ["9", "1", "10"]
    many = heat_map([[5 if row == column else 0 for column in range(62)] for row in range(62)], ["x"] * 62, title="")
    assert not [text for text in texts(many) if text.isdigit()]
    assert len(found(many, "rect", class_="right")) == 62


def test_heat_map_names_every_cell_and_shortens_long_labels() -> None:
    svg = heat_map([[3, 1], [0, 4]], ["a name without an end", "b"], title="matrix")
    titles = [title.text for title in found(svg, "title")]
    assert "a name without an end answered as b: 1 of 4" in titles
    assert any(text.endswith("a name with…") for text in texts(svg))


def test_names_are_escaped() -> None:
    hostile = "<script>alert(1)</script>"
    x, y = log_axis(hostile, [1, 10], str), linear_axis(hostile, [0, 1], str)
    drawn = [
        heat_map([[1]], [hostile], title=hostile),
        scatter([Point(x=2, y=0.5, series=0, title=hostile)], x, y, title=hostile),
        lines([Line(label=hostile, x=[2], y=[0.5])], x, y, title=hostile),
        legend_mark(3),
    ]
    for svg in drawn:
        assert "<script" not in svg
        ElementTree.fromstring(svg)
