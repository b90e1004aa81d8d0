"""`featherweight history`."""

from pathlib import Path

import pytest

from featherweight.networks import history


def test_the_table_has_every_edge(featherweight) -> None:
    out = featherweight("history").out
    for edge in history().edges:
        assert any(edge.source in line and edge.reason in line for line in out.splitlines())


def test_json_has_families_and_edges(featherweight) -> None:
    assert featherweight("history", "--json").json == history().to_dict()


@pytest.mark.parametrize("suffix", [".svg", ".html"])
def test_it_is_drawn(featherweight, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"field{suffix}"
    answer = featherweight("history", "--out", path)
    assert (answer.code, answer.err) == (0, f"wrote {path}\n")
    assert path.read_text(encoding="utf-8").startswith("<")


def test_another_kind_of_file_is_refused(featherweight, tmp_path: Path) -> None:
    answer = featherweight("history", "--out", tmp_path / "field.pdf")
    assert (answer.code, answer.out) == (2, "")
    assert "FILE.svg, or a page, FILE.html" in answer.err
