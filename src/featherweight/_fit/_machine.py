"""On what a run was done: processor, memory, versions. A measured time means nothing without them."""

import platform
from importlib.metadata import PackageNotFoundError, version

import torch

from featherweight._machine import available_processors, memory_bytes, native, processor_name

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
    instruction_sets = native().get("instruction_sets", {})
    return {
        "processor": processor_name(),
        "cores": available_processors(),
        "threads": torch.get_num_threads(),
        "instruction_sets": [name for name, usable in instruction_sets.items() if usable],
        "memory_bytes": memory_bytes(),
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
