"""What each section of the page shows, worked out from the metrics: plain values and finished charts."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from featherweight._units import format_bytes, format_count, format_percent, format_seconds

from ._axes import linear_axis, log_axis
from ._charts import Line, Point, heat_map, legend_mark, lines, scatter
from ._verdict import chosen

Metrics = Mapping[str, Any]
View = dict[str, Any]

MOST_CLASSES = 80  # in one confusion matrix; of more, those with the most mistakes are shown
FEW_CLASSES = 16  # up to here the matrix leaves room beside it
MODELS = {"pytorch": "PyTorch", "onnx": "ONNX, float32", "int8": "ONNX, int8"}
NO_BREAK = "\N{NO-BREAK SPACE}"  # keeps a number and its unit on one line
DASH = "\N{EN DASH}"  # stands where there is no value
_GIVEN_BY_DATA = ("num_classes", "in_channels", "small_input")


def options_text(options: Mapping[str, object]) -> str:
    """Write a network's options, without those that follow from the data.

    Example:
        >>> options_text({"width": 0.25, "head_channels": 256, "num_classes": 10})
        'width 0.25, head channels 256'
    """
    own = ((name, value) for name, value in options.items() if name not in _GIVEN_BY_DATA)
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in own)


def candidates(metrics: Metrics) -> View:
    """Return accuracy against latency and size, the legend, and the rows of the table."""
    every = metrics["candidates"]
    families = list(dict.fromkeys(_family(one) for one in every))
    limits = {row["name"]: row["budget"] for row in metrics["verdict"]["rows"]}
    rows = sorted(({**one, "val_accuracy": _last_accuracy(one)} for one in every), key=_rank)
    trained = [row for row in rows if row["rungs"]]
    return {
        "by_latency": _candidate_chart(every, families, "latency", limits.get("latency"), limits.get("accuracy")),
        "by_size": _candidate_chart(every, families, "size", limits.get("size"), limits.get("accuracy")),
        "legend": [(family, legend_mark(index)) for index, family in enumerate(families)],
        "trained": trained,
        "others": [row for row in rows if not row["rungs"]],
        "rungs": max((len(row["rungs"]) for row in trained), default=0),
    }


def _family(candidate: Mapping[str, Any]) -> str:
    return str(candidate.get("family", candidate["name"]))


def _last_accuracy(candidate: Mapping[str, Any]) -> float | None:
    accuracy: float | None = candidate["rungs"][-1]["val_accuracy"] if candidate["rungs"] else None
    return accuracy


def _rank(candidate: Mapping[str, Any]) -> tuple[bool, int, float, float]:
    """Order by: the winner, how many rungs it saw, its accuracy, its cost."""
    accuracy = candidate["val_accuracy"]
    score = -1.0 if accuracy is None else accuracy
    return candidate["status"] != "winner", -len(candidate["rungs"]), -score, candidate["multiply_adds"]


def _candidate_chart(
    every: Sequence[Mapping[str, Any]],
    families: Sequence[str],
    against: str,
    limit: float | None,
    least_accuracy: float | None,
) -> str | None:
    """Draw one of the two scatters; None where nothing was measured."""
    key, write = {"latency": ("latency_seconds", format_seconds), "size": ("size_bytes", format_bytes)}[against]
    shown = [one for one in every if one[key]]
    if not shown:
        return None
    points = [
        Point(
            x=one[key],
            y=_last_accuracy(one),
            series=families.index(_family(one)),
            title=f"{one['id']}: {write(one[key])}, {_or_dash(_last_accuracy(one), format_percent)}, {one['status']}",
            role="winner" if one["status"] == "winner" else "faded",
        )
        for one in shown
    ]
    accuracies = [point.y for point in points if point.y is not None]
    if limit is not None and limit <= 4 * max(point.x for point in points):
        reach = [*(point.x for point in points), limit]
    else:
        reach = [point.x for point in points]
    return scatter(
        points,
        log_axis(f"{against}, log scale", reach, write),
        linear_axis("validation accuracy", accuracies, format_percent, floor=0, ceiling=1),
        title=f"Validation accuracy of the candidates against their {against}",
        x_limit=limit,
        y_limit=least_accuracy,
    )


def _or_dash(value: float | None, write: Callable[[float], str]) -> str:
    return DASH if value is None else write(value).replace(" ", NO_BREAK)


def training(metrics: Metrics) -> View:
    """Return the three curves over the epochs, and the best epoch."""
    history = metrics["training"]["history"]
    epochs = [row["epoch"] for row in history]  # not every epoch is looked at
    x = linear_axis("epoch", [0, *epochs], "{:g}".format, floor=0)
    column = {name: [epoch[name] for epoch in history] for name in _CURVES}
    losses = [*column["train_loss"], *column["val_loss"]]
    return {
        "loss": lines(
            [Line(label="training", x=epochs, y=column["train_loss"], series=0),
             Line(label="validation", x=epochs, y=column["val_loss"], series=1)],
            x, linear_axis("", _known(losses), "{:g}".format, floor=0), title="Loss over the epochs",
        ),
        "accuracy": lines(
            [Line(label="", x=epochs, y=column["val_accuracy"], series=1)],
            x, linear_axis("", _known(column["val_accuracy"]), format_percent, floor=0, ceiling=1),
            title="Validation accuracy over the epochs",
        ),
        "learning_rate": lines(
            [Line(label="", x=epochs, y=column["learning_rate"], series=2)],
            x, linear_axis("", [0, *_known(column["learning_rate"])], "{:g}".format, floor=0),
            title="Learning rate over the epochs",
        ),
    }  # fmt: skip


_CURVES = ("train_loss", "val_loss", "val_accuracy", "learning_rate")


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def errors(metrics: Metrics) -> View:
    """Return the confusion matrix, recall and precision by class (the weakest first), and the commonest mix-ups."""
    labels: list[str] = metrics["data"]["classes"]
    matrix: list[list[int]] = metrics["test"]["confusion"]
    asked = [sum(row) for row in matrix]
    answered = [sum(column) for column in zip(*matrix, strict=True)]
    right = [row[index] for index, row in enumerate(matrix)]
    by_class = [
        {
            "name": labels[index],
            "right": right[index],
            "asked": asked[index],
            "recall": right[index] / asked[index] if asked[index] else None,
            "precision": right[index] / answered[index] if answered[index] else None,
        }
        for index in range(len(labels))
    ]
    pairs: list[View] = [
        {"truth": labels[row], "predicted": labels[column], "count": count}
        for row, counts in enumerate(matrix)
        for column, count in enumerate(counts)
        if row != column and count
    ]
    trouble = sorted(range(len(labels)), key=lambda index: 2 * right[index] - asked[index] - answered[index])
    kept = sorted(trouble[:MOST_CLASSES])
    shown = [[matrix[row][column] for column in kept] for row in kept]
    return {
        "matrix": heat_map(shown, [labels[index] for index in kept], title="Confusion matrix of the test pictures"),
        "left_out": len(labels) - len(kept),
        "classes": sorted(by_class, key=lambda one: 2.0 if one["recall"] is None else one["recall"]),
        "few": len(labels) <= FEW_CLASSES,
        "pairs": sorted(pairs, key=lambda pair: -pair["count"])[:10],
        "wrong": sum(asked) - sum(right),
        "total": sum(asked),
    }


def cost(metrics: Metrics) -> View:
    """Return the kinds of layers with their shares of multiply-adds and parameters, the costliest first."""
    kinds, layers = metrics["cost"]["by_kind"], metrics["cost"]["layers"]
    whole = {key: sum(kind[key] for kind in kinds) or 1 for key in ("params", "multiply_adds")}
    shared: list[View] = [
        {**kind, "params_share": kind["params"] / whole["params"],
         "multiply_adds_share": kind["multiply_adds"] / whole["multiply_adds"]}
        for kind in kinds
    ]  # fmt: skip
    most = max((layer["multiply_adds"] for layer in layers), default=0) or 1
    return {
        "kinds": sorted(shared, key=lambda kind: (-kind["multiply_adds"], -kind["params"])),
        "layers": [{**layer, "relative": layer["multiply_adds"] / most} for layer in layers],
    }


def proof(metrics: Metrics) -> View:
    """Return the models side by side: the columns, and which of them ships."""
    models = {key: model for key, model in metrics["models"].items() if model is not None}
    reference = models["pytorch"]["accuracy"]
    return {
        "columns": [
            {**model, "key": key, "title": MODELS[key], "points": 100 * (model["accuracy"] - reference)}
            for key, model in models.items()
        ],
        "chosen": chosen(metrics),
    }


def write_number(value: float | None, digits: int = 3) -> str:
    """Write a number that has no unit; an en dash for None.

    Example:
        >>> write_number(1797), write_number(3.1e-06), write_number(None)
        ('1,797', '3.1e-06', '\u2013')
    """
    if value is None:
        return DASH
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}g}"


FILTERS = {
    "bytes": lambda value: _or_dash(value, format_bytes),
    "count": lambda value: _or_dash(value, format_count),
    "seconds": lambda value: _or_dash(value, format_seconds),
    "percent": lambda value: _or_dash(value, format_percent),
    "number": write_number,
    "keep": lambda text: text.replace(" ", NO_BREAK),
    "options": options_text,
}
