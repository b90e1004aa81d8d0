"""The text of a program in C."""

from importlib.resources import files
from textwrap import dedent, wrap

from ._layers import KERNELS, Constants, fields, kernel, single, struct
from ._plan import Plan
from ._program import Adder, Program, Step, sources


def texts(program: Program, plan: Plan, name: str, about: str) -> dict[str, str]:
    """Return the files of a model: their names and contents, all functions and types named after it."""
    called = sorted({kernel(step) for step in program.steps})
    parts = dict.fromkeys(part for one in called for part in KERNELS[one])
    example = "main_float.c" if program.maps[0].floats else "main_bytes.c"
    return {
        f"{name}.h": _header(program, plan, name, about),
        f"{name}.c": _model(program, plan, name),
        f"{name}_kernels.h": _packaged("kernels.h", name),
        f"{name}_kernels.c": "\n".join(
            [f'#include "{name}_kernels.h"\n', *(_packaged(f"{part}.c", name) for part in (*parts, *called))]
        ),
        "main.c": _packaged(example, name).replace(f'"{name}_model.h"', f'"{name}.h"'),
    }


def _packaged(file: str, name: str) -> str:
    text = files(__package__).joinpath("kernels", file).read_text(encoding="utf-8")
    return text.replace("FW_", f"{name.upper()}_").replace("fw_", f"{name}_")


def constant_bytes(program: Program) -> int:
    """Return the bytes of all arrays of constants."""
    constants = Constants()
    for step in program.steps:
        fields(step, program, constants)
    return constants.bytes


def _signature(program: Program, name: str) -> str:
    big = name.upper()
    if program.maps[0].floats:
        return f"int {name}_run(const float *picture, float logits[{big}_CLASSES])"
    return f"int {name}_run(int32_t logits[{big}_CLASSES])"


def _header(program: Program, plan: Plan, name: str, about: str) -> str:
    first, big = program.maps[0], name.upper()
    if first.floats:
        ends = f"""\
/* Runs the network on a picture, float [{big}_CHANNELS][{big}_HEIGHT][{big}_WIDTH], prepared as in training; writes the
 * logits, and returns the number of the largest. */
{_signature(program, name)};
"""
    else:
        ends = f"""\
/* Byte q of the picture stands for (q - {big}_INPUT_ZERO) * {big}_INPUT_SCALE.
 * Logit k is logits[k] * {big}_LOGIT_UNIT. */
#define {big}_INPUT_ZERO {first.zero}
#define {big}_INPUT_SCALE {single(first.scale)}
#define {big}_LOGIT_UNIT {single(program.unit)}

/* Where the picture is to be written, as [{big}_HEIGHT][{big}_WIDTH][{big}_CHANNELS]; a run writes over it. */
uint8_t *{name}_input(void);

/* Runs the network on the picture; writes the logits, and returns the number of the largest. */
{_signature(program, name)};
"""
    lines = "\n * ".join(wrap(about, 116))
    return dedent(f"""\
        /* {{about}} */
        #ifndef {big}_H
        #define {big}_H

        #include <stdint.h>

        #define {big}_HEIGHT {first.height}
        #define {big}_WIDTH {first.width}
        #define {big}_CHANNELS {first.channels}
        #define {big}_CLASSES {program.classes}

        /* Bytes of all static memory. */
        #define {big}_ARENA_BYTES {plan.arena_bytes}

        {{ends}}
        #endif
        """).format(about=lines, ends=ends)


def _model(program: Program, plan: Plan, name: str) -> str:
    constants, big = Constants(), name.upper()
    layers, calls = [], []
    for number, step in enumerate(program.steps):
        said = ", ".join(f".{key} = {value}" for key, value in fields(step, program, constants).items())
        line = f"static const {name}_{struct(step)}_layer layer_{number} = {{{said}}};"
        layers += wrap(line, 116, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
        calls.append(f"    {name}_{kernel(step)}(&layer_{number}, {', '.join(_places(step, program, plan))});")
    arrays = [f"static uint8_t arena[{big}_ARENA_BYTES];"]
    if plan.floats:
        arrays.append(f"static float numbers[{plan.floats}];")
    given = []
    if not program.maps[0].floats:
        given = [f"uint8_t *{name}_input(void) {{ return arena + {plan.offsets[0]}; }}", ""]
    return "\n".join([
        f'#include "{name}.h"', "", f'#include "{name}_kernels.h"', "", *constants.texts, "", *layers, "", *arrays, "",
        *given, f"{_signature(program, name)} {{", "    int largest = 0;", *calls, *_logits(program, plan, big),
        f"    for (int k = 1; k < {big}_CLASSES; ++k)",
        "        if (logits[k] > logits[largest]) largest = k;",
        "    return largest;", "}", "",
    ])  # fmt: skip


def _places(step: Step, program: Program, plan: Plan) -> list[str]:
    """Say in C where the maps lie that a step reads and writes."""
    last = len(program.maps) - 1
    places = []
    for number in (*sources(step), step.output):
        if not program.maps[number].floats:
            places.append(f"arena + {plan.offsets[number]}")
        else:
            places.append({0: "picture", last: "logits"}.get(number, f"numbers + {plan.offsets[number]}"))
    if isinstance(step, Adder) and step.shortcut is None:
        places.insert(1, "0")
    return places


def _logits(program: Program, plan: Plan, big: str) -> list[str]:
    """Sum the bytes of the last map to logits."""
    last = program.maps[-1]
    if last.floats:
        return []
    pixels = last.height * last.width
    return [
        f"    for (int k = 0; k < {big}_CLASSES; ++k) {{",
        f"        logits[k] = {-pixels * last.zero};",
        f"        for (int pixel = 0; pixel < {pixels}; ++pixel)",
        f"            logits[k] += arena[{plan.offsets[-1]} + pixel * {big}_CLASSES + k];",
        "    }",
    ]
