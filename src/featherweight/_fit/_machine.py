"""On what a run was done: processor, memory, versions. A measured time means nothing without them."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

PACKAGES = (
    "featherweight",
    "torch",
    "torchvision",
    "lightning",
    "numpy",
    "pillow",
    "onnx",
    "onnxscript",
    "onnxruntime",
)


def describe_machine() -> dict[str, object]:
    """Return the processor, its instruction sets, memory in bytes, system and thread count."""
    from featherweight import _native

    return {
        "processor": _processor_name(),
        "cores": _native.available_processors(),
        "threads": torch.get_num_threads(),
        "instruction_sets": [name for name, usable in _native.instruction_sets() if usable],
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.release()}",
    }


def package_versions() -> dict[str, str]:
    """Return the version of Python and of each package that had a part in the run."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _processor_name() -> str:
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.exists():
        for line in cpu_info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
