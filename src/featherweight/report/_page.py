"""Fill the page's templates with the metrics of a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from featherweight._extras import require
from featherweight._files import write_atomically

from . import _views
from ._svg import TEMPLATES
from ._verdict import chosen, verdict


def write_report(metrics: Mapping[str, Any], path: str | Path) -> Path:
    """Write the report of a run: one HTML file that loads nothing, on screen, phone and paper.

    Every text of the metrics is escaped, and the page forbids itself scripts and network.

    Args:
        metrics: content of metrics.json.
        path: of the page; written whole or not at all.
    Raises: MissingExtraError: jinja2 is not installed.
    """
    return write_atomically(path, render(metrics))


def render(metrics: Mapping[str, Any]) -> str:
    """Return the page of `write_report` as text."""
    page: str = (
        environment()
        .get_template("page.html")
        .render(
            m=metrics,
            verdict=verdict(metrics),
            candidates=_views.candidates(metrics),
            training=_views.training(metrics),
            errors=_views.errors(metrics),
            cost=_views.cost(metrics),
            proof=_views.proof(metrics),
            chosen=metrics["models"][chosen(metrics)],
        )
    )
    return page


def environment() -> Any:
    """Return jinja2's environment for the templates: what is filled in is escaped, what is missing is an error.

    Raises: MissingExtraError: jinja2 is not installed.
    """
    jinja2 = require("jinja2", extra="report")
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(_views.FILTERS)
    return made
