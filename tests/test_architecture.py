"""The house's rules, read from the source: which way imports point, how long files are, what is exported."""

import ast
import importlib
import inspect
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import featherweight

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "featherweight"

# Small things that anyone may import.
COMMON = {"_extras", "_files", "_threads", "_units"}

# Who else may import whom, inside the package. What is not written here is not allowed.
ARROWS: dict[str, set[str]] = {
    "ops": {"_native"},
    "blocks": {"ops"},
    "cost": set(),
    "data": set(),
    "environments": set(),
    "export": {"_machine", "_native", "environments"},
    "_exports": {"blocks", "compress", "export"},
    "networks": {"blocks", "cost"},
    "compress": {"blocks", "cost", "networks", "ops"},
    "train": {"blocks", "data", "networks", "ops"},
    "report": {"blocks", "cost", "networks"},
    "search": {"train", "cost", "networks"},
    "bench": {"_machine", "compress", "cost", "export", "networks"},
    "predictor": {"bench", "cost", "networks"},
    "ship": {"_exports", "cost", "export"},
    "_machine": {"_native"},
    "_fit": {
        "_machine",
        "report",
        "search",
        "export",
        "compress",
        "train",
        "cost",
        "data",
        "networks",
        "predictor",
    },
    "__init__": {"_fit", "networks"},
    "__main__": {"cli"},
}
ARROWS["cli"] = {*ARROWS} - {"__init__", "__main__"}

# Packages of others that the narrow rooms may import.
OUTSIDE = {
    "ops": {"torch", "numpy", "triton"},
    "cost": {"torch"},
    "data": {"torch", "numpy", "PIL", "sklearn"},
    "environments": {"numpy"},
    # google: protobuf, which says what is wrong with an ONNX file
    "export": {
        *("torch", "numpy", "safetensors", "google", "onnx", "onnxscript", "onnxruntime", "openvino"),
        *("ncnn", "executorch", "torchao", "litert_torch", "ai_edge_litert", "ai_edge_quantizer"),  # in workers
    },
}

# Packages that an extra brings: imported when they are used, through `_extras.require`, never with a room.
OPTIONAL = {"jinja2", "lightning", "onnx", "onnxruntime", "onnxscript", "openvino", "sklearn", "timm"}

# Files that are longer than 300 lines, each with the one idea that would be cut in two.
LONG = {
    "tests/data/test_folder.py": "layouts of folders and all that can be wrong with one, on shared helpers",
}


class Import(NamedTuple):
    """One import: in which file and line, of which module."""

    file: Path
    line: int
    module: str


def imports(package: Path) -> Iterator[Import]:
    """Go through all imports in a package's folder, `require("module", ...)` included."""
    for path in sorted(package.rglob("*.py")):
        file = path.relative_to(package)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            for module in imported(node, file):
                yield Import(file, node.lineno, module)  # type: ignore[attr-defined]


def imported(node: ast.AST, file: Path) -> list[str]:
    """Return the absolute names of the modules that a node imports."""
    match node:
        case ast.Import(names=names):
            return [name.name for name in names]
        case ast.ImportFrom(module=module, names=names, level=level):
            here = ["featherweight", *file.parent.parts]
            source = [*(here[: len(here) - level + 1] if level else ()), *([module] if module else ())]
            if source == ["featherweight"]:
                return [f"featherweight.{name.name}" for name in names]
            return [".".join(source)]
        case ast.Call(func=ast.Name(id="require"), args=[ast.Constant(value=str(module)), *_]):
            return [module]
    return []


def violations(package: Path) -> list[str]:
    """Return one line for each import that goes against the rules above."""
    found = []
    for file, line, module in imports(package):
        room = file.with_suffix("").parts[0]
        top, _, inside = module.partition(".")
        wanted = inside.partition(".")[0]
        if top == "featherweight":
            if wanted not in {room, "__version__", *COMMON, *ARROWS.get(room, ())}:
                found.append(f"{file}:{line}: {room} may not import featherweight.{wanted}")
        elif top not in sys.stdlib_module_names and top not in OUTSIDE.get(room, {top}):
            found.append(f"{file}:{line}: {room} may not import {top}")
    return found


def test_imports_point_down() -> None:
    assert violations(PACKAGE) == []


@pytest.mark.parametrize(
    ("file", "source", "complaint"),
    [
        ("blocks/_a.py", "from featherweight.networks import create", "blocks may not import featherweight.networks"),
        ("cost/a.py", "def f():\n    from ..data import digits", "cost may not import featherweight.data"),
        ("cost/a.py", "import featherweight.train._loop", "cost may not import featherweight.train"),
        ("cost/a.py", "import numpy as np", "cost may not import numpy"),
        ("export/a.py", "from featherweight import create", "export may not import featherweight.create"),
        ("export/a.py", "x = require('sklearn.svm', extra='fit')", "export may not import sklearn"),
        ("_files.py", "from featherweight.cost import analyze", "_files may not import featherweight.cost"),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, file: str, source: str, complaint: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(source)
    assert any(complaint in line for line in violations(tmp_path))


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("networks/a.py", "from ._registry import register\nfrom featherweight.blocks import ConvNormAct\nimport re"),
        ("train/a.py", "def f():\n    import lightning.pytorch"),
        ("search/a.py", "from featherweight._files import write_atomically"),
        ("data/a.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from PIL import Image"),
    ],
)
def test_what_the_rules_allow_is_not_complained_about(tmp_path: Path, file: str, source: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(source)
    assert violations(tmp_path) == []


def test_files_hold_one_idea() -> None:
    files = [*PACKAGE.rglob("*.py"), *(ROOT / "csrc").rglob("*.*"), *(ROOT / "tests").rglob("*.py")]
    lines = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    long = {name for name, count in lines.items() if count > 300}
    assert long == LONG.keys(), "past 300 lines, ask whether a file holds two ideas; if not, write the reason in LONG"


def test_no_helper_without_a_home() -> None:
    homeless = {"utils.py", "util.py", "helpers.py", "misc.py", "common.py"}
    assert [str(path) for path in PACKAGE.rglob("*.py") if path.name in homeless] == []


def public_packages() -> list[str]:
    inits = sorted(PACKAGE.rglob("__init__.py"))
    return [".".join(("featherweight", *path.parent.relative_to(PACKAGE).parts)) for path in inits]


@pytest.mark.parametrize("package", public_packages())
def test_what_is_exported(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__doc__, f"{package} does not say what it is for"
    for name in module.__all__:  # ruff keeps it in order
        exported = getattr(module, name)
        if inspect.isclass(exported) or inspect.isfunction(exported):
            assert inspect.getdoc(exported), f"{package}.{name} has no docstring"


def loaded_by(*modules: str) -> set[str]:
    """Return the packages that a fresh Python has loaded after importing these modules."""
    code = f"import sys, {', '.join(modules)}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_package_leaves_pytorch_alone() -> None:
    light = loaded_by("featherweight", "featherweight.data", "featherweight.export", "featherweight.cli")
    assert light & {"torch", "torchvision", "numpy", "PIL", *OPTIONAL} == set()


def test_importing_every_room_leaves_optional_packages_alone() -> None:
    assert loaded_by(*public_packages()) & OPTIONAL == set()


def test_the_version_is_one() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    entries = [line for line in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines() if line[:4] == "## ["]
    newest = next(line for line in entries if "Unreleased" not in line)
    assert featherweight.__version__ == declared
    assert newest.startswith(f"## [{declared}]")
