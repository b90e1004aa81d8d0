"""One self-contained HTML page on a run of `fit`: from the content of metrics.json and nothing else."""

from ._page import write_report as write_report

__all__ = ["write_report"]
