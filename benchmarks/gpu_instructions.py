"""What share of a Triton kernel's innermost loop does the work: read off its machine code, without a GPU.

A GPU issues one instruction at a time for each warp; a term of the adder layer takes two additions, one of its
clipped gradient three instructions (a difference, a clip, a multiply-add), one of a product by integer addition with
its sum two. Their share of the loop is the most of the ceiling that the kernel can reach.

Run: python benchmarks/gpu_instructions.py [--capability 90]
"""

import argparse
import re
import subprocess
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from featherweight.ops.adder import triton as adder
from featherweight.ops.mitchell import _programs as programs
from featherweight.ops.mitchell import triton as mitchell

FLOATS = {"x", "filters", "y", "grad", "result", "a", "b", "own"}


def compiled(kernel: object, constants: dict[str, object], warps: int, fused: bool, capability: int) -> list[str]:
    """The lines of its disassembly."""
    names = kernel.arg_names
    types = {name: "*fp32" if name in FLOATS else "*i32" if name == "ranges" else "i32" for name in names}
    source = ASTSource(
        fn=kernel,
        signature=types | dict.fromkeys(constants, "constexpr"),
        constexprs={(names.index(name),): value for name, value in constants.items()},
        attrs={(at,): [["tt.divisibility", 16]] for at, name in enumerate(names) if types[name].startswith("*")},
    )
    options = {"num_warps": warps, "enable_fp_fusion": fused}
    code = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options).asm["cubin"]
    with TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.cubin"
        file.write_bytes(code)
        tool = triton.knobs.nvidia.nvdisasm.path
        return subprocess.run([tool, "-c", file], capture_output=True, text=True, check=True).stdout.splitlines()


def innermost(lines: list[str], additions: int) -> Counter[str]:
    """The instructions of the shortest loop that has so many floating-point additions."""
    labels, loops = {}, []
    for number, line in enumerate(lines):
        if label := re.match(r"\s*(\.L_x_\d+):", line):
            labels[label[1]] = number
        jump = re.search(r"BRA.*`\((\.L_x_\d+)\)", line)
        if jump and jump[1] in labels:
            body = "\n".join(lines[labels[jump[1]] : number + 1])
            loops.append(Counter(re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+ )?([A-Z]\w*)", body)))
    return min((loop for loop in loops if loop["FADD"] + loop["FFMA"] >= additions), key=lambda loop: loop.total())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--capability", type=int, default=90, help="the GPU's: 90 for H100 and H200, 80 for A100")
    capability = parser.parse_args().capability
    # name, kernel, rows, its tile, instructions a term, constants, terms a turn, whether additions may fuse
    usual = {"USUAL": True, "EXACT": False}
    cases = [
        *((f"adder2d, {rows} filters", adder._distances, rows, adder.DISTANCES, 2, {"STEP": 4, "bias": None}, 4, True)
          for rows in (16, 32, 64)),
        ("adder2d, input gradient", adder._input_gradients, 64, adder.INPUT_GRADIENTS, 3,
         {"STEP": 4, "SIGN": False}, 4, True),
        ("mitchell_conv2d", programs.sums, 64, mitchell.PRODUCTS, 2, {**usual, "own": None}, 1, False),
        ("mitchell_conv2d, exact slopes", programs.sums, 64, mitchell.SLOPES, 2, {**usual, "EXACT": True}, 1, False),
        ("mitchell_conv2d, input gradient", programs.input_gradients, 64, mitchell.SLOPES, 2, usual, 1, False),
    ]  # fmt: skip
    for name, kernel, count, tile, work, constants, terms, fused in cases:
        rows, columns, warps = tile.fit(count, 4096)
        lines = compiled(kernel, constants | {"ROWS": rows, "COLUMNS": columns}, warps, fused, capability)
        each = terms * rows * columns // (32 * warps)
        loop = innermost(lines, each)
        most = ", ".join(f"{number} {what}" for what, number in loop.most_common(6))
        print(f"{name:34} tile {rows:2} x {columns:3}, {warps} warps: {work * each / loop.total():.0%} "
              f"({loop.total()} instructions: {most})")  # fmt: skip


if __name__ == "__main__":
    main()
