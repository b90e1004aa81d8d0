"""The files of docs/ that are written from the code are up to date, links lead somewhere, and the site builds."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))
        return importlib.import_module("generate")


@pytest.mark.parametrize("kind", ["pages", "other_files"])
def test_generated_files_are_what_the_code_says(generate, kind) -> None:
    for name, text in getattr(generate, kind)().items():
        assert (DOCS / name).read_text(encoding="utf-8") == text, f"docs/{name} is not what the code says: make docs"


def test_every_network_and_block_has_its_place(generate) -> None:
    from featherweight.blocks import GALLERY
    from featherweight.networks import networks

    for entry in networks():
        page = (DOCS / "families" / f"{generate.slug(entry.family)}.md").read_text(encoding="utf-8")
        assert f"### `{entry.name}`" in page
    pictures = {path.stem for path in (DOCS / "images" / "blocks").iterdir()}
    assert pictures == {generate.slug(name) for name in GALLERY}


def test_every_network_knows_the_digits() -> None:
    """Trained by recipes/digits_zoo.py; networks whose smallest forms are the same are trained once."""
    from featherweight.networks import networks

    trained = json.loads((DOCS / "digits_zoo.json").read_text(encoding="utf-8"))["networks"]
    assert {name for first, one in trained.items() for name in (first, *one["same"])} == {n.name for n in networks()}
    assert {name: one["accuracy"] for name, one in trained.items() if one["accuracy"] < 0.9} == {}


def test_nineteen_of_twenty_files_give_the_networks_answers() -> None:
    """Written by benchmarks/export_matrix.py: networks in targets, in float."""
    found = json.loads((DOCS / "export_matrix.json").read_text(encoding="utf-8"))["networks"]
    cells = [cell["error"] is None for one in found.values() for cell in one.values()]
    assert sum(cells) >= 0.95 * len(cells)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_relative_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_site_builds_without_warnings(tmp_path) -> None:
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    assert (tmp_path / "families" / "mobilenetv2.html").is_file()


def test_every_network_is_timed_in_every_runtime() -> None:
    """Measured by benchmarks/latency_prediction.py; AdderNets in PyTorch only."""
    from featherweight.networks import networks

    record = json.loads((DOCS / "latency_zoo.json").read_text(encoding="utf-8"))
    assert set(record["runtimes"]) == {"eager", "onnxruntime", "openvino"}
    assert set(record["networks"]) == set(record["runtimes"]["eager"]["networks"]) == {n.name for n in networks()}
    for runtime in ("onnxruntime", "openvino"):
        assert set(record["runtimes"][runtime]["networks"]) == {n.name for n in networks() if n.family != "AdderNet"}


def test_the_page_on_theory_tells_how_well_a_count_tells_the_time() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))
        quality = importlib.import_module("theory_page").quality
    assert quality([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]) == "1.000 (0.0%)"
    assert quality([3.0, 2.0, 1.0], [1.0, 2.0, 3.0]).startswith("-1.000 (")
