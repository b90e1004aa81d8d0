"""Compiling the source: by a C compiler of the machine, with any warning an error."""

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ._layers import KERNELS

FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")


class CompilerError(RuntimeError):
    """There is no C compiler, or it refuses the source; the message has its words."""


@dataclass(frozen=True)
class Footprint:
    """What a compiler made of a network, without the C library and main.c.

    Attributes:
        flash_bytes: code and constants.
        static_bytes: of RAM.
        stack_bytes: of the deepest call, by the compiler's own count.
    """

    flash_bytes: int
    static_bytes: int
    stack_bytes: int

    @property
    def ram_bytes(self) -> int:
        """The peak of RAM."""
        return self.static_bytes + self.stack_bytes


def compiler_of(wanted: str | None = None) -> str:
    """Return the path of a compiler: the one wanted, or CC, cc, gcc, clang. Raises: CompilerError."""
    names = (wanted,) if wanted else (os.environ.get("CC") or "cc", "gcc", "clang")
    found = next((path for path in map(shutil.which, names) if path), None)
    if found is None:
        raise CompilerError(f"there is no C compiler {' or '.join(names)} here; install one, or name it in CC")
    return found


def build(compiler: str, *arguments: object) -> None:
    """Run a compiler. Raises: CompilerError."""
    ran = subprocess.run([compiler, *FLAGS, *map(str, arguments)], capture_output=True, text=True, check=False)
    if ran.returncode:
        raise CompilerError(f"{compiler} refuses the source: {ran.stderr.strip()[-2000:]}")


def footprint(folder: Path, name: str, compiler: str, flags: tuple[str, ...]) -> Footprint:
    """Compile a network's two files and read their sizes. Raises: CompilerError."""
    with tempfile.TemporaryDirectory(prefix="featherweight-") as temporary:
        objects = []
        for part in (name, f"{name}_kernels"):
            objects.append(Path(temporary) / f"{part}.o")
            build(compiler, "-c", "-fno-pie", "-fstack-usage", *flags, "-o", objects[-1], folder / f"{part}.c")
        size = Path(compiler).with_name(re.sub(r"(gcc|clang|cc)(-\d+)?$", "size", Path(compiler).name))
        if not size.is_file():
            raise CompilerError(f"{size}, which goes with {compiler}, is not installed: it reads the sizes")
        lines = subprocess.run([size, *objects], capture_output=True, text=True, check=True).stdout.splitlines()[1:]
        code, data, zeros = (sum(int(line.split()[column]) for line in lines) for column in range(3))
        return Footprint(code + data, data + zeros, _stack_bytes(name, objects))


def _stack_bytes(name: str, objects: list[Path]) -> int:
    """Add up the deepest call: the run, the largest kernel, and all that kernels share."""
    used: dict[str, int] = {}
    for made in objects:
        for line in made.with_suffix(".su").read_text(encoding="utf-8").splitlines():
            where, count, _ = line.split("\t")
            used[where.rpartition(":")[2]] = int(count)
    kernels = {f"{name}_{kernel}" for kernel in KERNELS}
    shared = sum(
        count for function, count in used.items() if function not in {*kernels, f"{name}_run", f"{name}_input"}
    )
    return used[f"{name}_run"] + max(used.get(kernel, 0) for kernel in kernels) + shared
