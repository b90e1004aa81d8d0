"""Compiling the source: by a C compiler of the machine, with any warning an error."""

import os
import re
import shlex
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


def compiler_of(wanted: str | None = None) -> tuple[str, ...]:
    """Return the words that call a compiler: the one wanted, else what CC says, else cc, gcc or clang.

    Raises: CompilerError: it is not there, or CC cannot be read.
    """
    said = os.environ.get("CC", "").strip()
    names: tuple[str, ...] = ("cc", "gcc", "clang")
    flags: list[str] = []
    where = "here"
    if wanted:
        names = (wanted,)
    elif said:
        try:
            first, *flags = shlex.split(said)
        except ValueError as error:
            raise CompilerError(f"the variable CC is {said!r}, no words of a command: {error}") from error
        names, where = (first,), f"here, which the variable CC names: {said!r}"
    found = next((path for path in map(shutil.which, names) if path), None)
    if found is None:
        raise CompilerError(f"there is no C compiler {' or '.join(names)} {where}; install one, or name it in CC")
    return found, *flags


def build(compiler: tuple[str, ...], *arguments: object) -> None:
    """Run a compiler. Raises: CompilerError."""
    ran = subprocess.run([*compiler, *FLAGS, *map(str, arguments)], capture_output=True, text=True, check=False)
    if ran.returncode:
        raise CompilerError(f"{' '.join(compiler)} refuses the source: {ran.stderr.strip()[-2000:]}")


def size_reader(compiler: tuple[str, ...]) -> str:
    """Return the path of the program that reads sizes: the compiler's own, or the machine's. Raises: CompilerError."""
    own = [re.sub(r"(gcc|clang|cc)(-\d+)?$", "size", word) for word in compiler]
    names = [*(name for name, word in zip(own, compiler, strict=True) if name != word), "size", "llvm-size"]
    found = next((path for path in map(shutil.which, names) if path), None)
    if found is None:
        raise CompilerError(f"there is no {' or '.join(dict.fromkeys(names))} here, which reads the sizes of what "
                            f"{' '.join(compiler)} makes: install binutils or LLVM")  # fmt: skip
    return found


def footprint(folder: Path, name: str, compiler: tuple[str, ...], flags: tuple[str, ...]) -> Footprint:
    """Compile a network's two files and read their sizes. Raises: CompilerError."""
    size = size_reader(compiler)
    with tempfile.TemporaryDirectory(prefix="featherweight-") as temporary:
        objects = []
        for part in (name, f"{name}_kernels"):
            objects.append(Path(temporary) / f"{part}.o")
            build(compiler, "-c", "-fno-pie", "-fstack-usage", *flags, "-o", objects[-1], folder / f"{part}.c")
        ran = subprocess.run([size, *objects], capture_output=True, text=True, check=False)
        if ran.returncode:
            raise CompilerError(f"{size} cannot read what {' '.join(compiler)} made: {ran.stderr.strip()[-2000:]}")
        lines = ran.stdout.splitlines()[1:]
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
