"""What this machine is: its processor, caches and memory, as far as the system and the compiled part tell."""

import os
import platform
import re
from pathlib import Path
from typing import Any


def processor_name() -> str:
    """Return the processor's name as the system tells it."""
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        name = re.search(r"^model name\s*:\s*(.+)$", listing.read_text(encoding="utf-8"), re.MULTILINE)
        if name:
            return name[1]
    return platform.processor() or platform.machine()


def available_processors() -> int:
    """Return on how many processors this process may run, which can be fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes() -> int | None:
    """Return the machine's memory, or None where the system does not tell."""
    if not {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= os.sysconf_names.keys():
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def native() -> dict[str, Any]:
    """Return what the compiled part sees of the processor, or that there is none; one that fails to load raises."""
    try:
        import featherweight._native as compiled
    except ModuleNotFoundError:
        return {"compiled": False, "reason": "featherweight._native is not installed: reference code runs instead"}
    return {
        "compiled": True,
        "compiler": compiled.compiler,
        "instruction_sets": dict(compiled.instruction_sets()),
        "kernels": {"used": compiled.kernels(), "runnable": compiled.all_kernels()},
        "caches": [{"level": c.level, "kind": c.kind, "bytes": c.bytes} for c in compiled.caches()],
    }
