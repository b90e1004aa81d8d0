"""`featherweight info`: what is installed here, and what this machine can do."""

import platform
import re
import sys
from collections.abc import Iterator
from typing import Any

from ._errors import usage
from ._output import Json, print_json, print_table

CORE_PACKAGES = ("torch", "torchvision", "numpy", "safetensors", "rich", "typer")


def info(*, as_json: Json = False) -> None:
    """Show versions, extras, the processor and its compiled code, and which kernel each operator runs where.

    \b
    Examples:
      featherweight info
      featherweight info --json
    """
    with usage():  # what FEATHERWEIGHT_ISA names
        found = collect()
    if as_json:
        print_json(found)
    else:
        _print(found)


def collect() -> dict[str, Any]:
    """Return what `featherweight info --json` prints; sizes are in bytes."""
    from featherweight._machine import available_processors, memory_bytes, native, processor_name

    return {
        "featherweight": _version("featherweight"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} ({platform.machine()})",
        "packages": {package: _version(package) for package in CORE_PACKAGES},
        "extras": _extras(),
        "native": native(),
        "processor": {
            "name": processor_name(),
            "available": available_processors(),
            "memory_bytes": memory_bytes(),
        },
        "gpus": _gpus(),
        "operators": _operators(),
    }


def _version(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _extras() -> dict[str, dict[str, Any]]:
    """For each extra: the packages that it asks for, each with the version that is installed, or None."""
    from importlib.metadata import distribution

    ours = distribution("featherweight")
    names = ours.metadata.get_all("Provides-Extra") or []
    asked = {name: list(_asked_for(name, ours.requires or [])) for name in names if name != "all"}
    extras = {}
    for name, packages in asked.items():
        versions = {package: _version(package) for package in packages}
        extras[name] = {
            "packages": versions,
            "complete": all(versions.values()),
            "install": f"pip install 'featherweight[{name}]'",
        }
    return extras


def _asked_for(extra: str, requirements: list[str]) -> Iterator[str]:
    """Packages of one extra, those of the extras that it includes too."""
    for requirement in requirements:
        if not re.search(rf"""extra\s*==\s*["']{extra}["']""", requirement):
            continue
        package, included = re.match(r"([\w.-]+)(?:\[([^]]*)\])?", requirement).groups()  # type: ignore[union-attr]
        if package != "featherweight":
            yield package
        else:
            for other in included.split(","):
                yield from _asked_for(other.strip(), requirements)


def _gpus() -> list[dict[str, Any]]:
    import torch

    return [
        {"name": torch.cuda.get_device_name(i), "memory_bytes": torch.cuda.get_device_properties(i).total_memory}
        for i in range(torch.cuda.device_count())
    ]


def _operators() -> dict[str, dict[str, dict[str, str]]]:
    """For each operator and kind of device: the kernel, and the reason why it is that one."""
    from featherweight.ops._kernels import kernels

    return {name: {device: one._asdict() for device, one in devices.items()} for name, devices in kernels().items()}


def _print(found: dict[str, Any]) -> None:
    from rich import box
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for label, text in _lines(found):
        table.add_row(label, text)
    operators = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("operator", "processor", "GPU"):
        operators.add_column(heading, overflow="fold")
    for name, devices in found["operators"].items():
        operators.add_row(name, *(f"{one['kernel']}: {one['reason']}" for one in devices.values()))
    print_table(table, operators)


def _lines(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What is printed, as pairs of a label and a text."""
    from featherweight._units import format_bytes

    yield "featherweight", found["featherweight"]
    yield "python", f"{found['python']} ({sys.executable})"
    yield "system", found["system"]
    yield "packages", ", ".join(f"{name} {number or 'missing'}" for name, number in found["packages"].items())
    for name, extra in found["extras"].items():
        missing = [package for package, number in extra["packages"].items() if number is None]
        state = f"missing {', '.join(missing)}: {extra['install']}" if missing else "installed"
        yield f"extra {name}", state
    processor = found["processor"]
    memory = format_bytes(processor["memory_bytes"]) if processor["memory_bytes"] else "unknown"
    yield "processor", f"{processor['name']}; {processor['available']} available to this process; memory {memory}"
    native = found["native"]
    if native["compiled"]:
        sets = native["instruction_sets"].items()
        yield "instruction sets", " ".join(name for name, usable in sets if usable) or "none that kernels use"
        yield "not on this machine", " ".join(name for name, usable in sets if not usable) or "none"
        kernels = native["kernels"]
        others = ", ".join(name for name in kernels["runnable"] if name != kernels["used"]) or "none"
        yield "kernels", f"{kernels['used']}; FEATHERWEIGHT_ISA chooses another: {others}"
        caches = native["caches"]
        yield "caches", ", ".join(f"L{c['level']} {c['kind']} {format_bytes(c['bytes'])}" for c in caches) or "unknown"
        yield "compiled with", native["compiler"]
    else:
        yield "compiled part", f"missing: {native['reason']}"
    yield "GPU", ", ".join(f"{g['name']} ({format_bytes(g['memory_bytes'])})" for g in found["gpus"]) or "none"
