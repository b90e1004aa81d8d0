"""C99 source: the same answers as ONNX Runtime, bit by bit; memory as planned; what is refused."""

import json
import re
import subprocess

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from featherweight.compress import fold_batch_norm, quantize
from featherweight.data import Preprocessing, digits
from featherweight.export import ModelFileError, c99, load, probe
from featherweight.export._c99 import _folder, _plan, _read, _reference
from featherweight.export._c99._build import build, compiler_of
from featherweight.export._c99._layers import KERNELS
from featherweight.export._c99._program import sources
from featherweight.networks import create
from featherweight.networks.resnet import table_cifar

pytestmark = pytest.mark.skipif(c99.missing() is not None, reason=str(c99.missing()))

BATCH = 32  # pictures per run of a probe
SANITIZERS = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


class Everything(nn.Module):
    """One layer of each kind: what the kernels know, small."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 5, padding=2, groups=8)
        self.grouped = nn.Conv2d(8, 12, 1, groups=4, bias=False)
        self.dilated = nn.Conv2d(6, 8, (3, 1), padding=(2, 0), dilation=2)
        self.squeeze, self.excite = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.whole = nn.Linear(8 * 4 * 4, 16)
        self.last = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.hardswish(self.stem(x))  # 8 x 8 x 8
        x = x + self.depthwise(x)
        y = self.grouped(x)
        y = y.reshape(-1, 4, 3, 8, 8).transpose(1, 2).reshape(-1, 12, 8, 8)  # shuffled
        left, right = y.chunk(2, 1)
        z = F.relu6(self.dilated(left))
        z = z * torch.sigmoid(self.excite(F.relu(self.squeeze(z.mean((2, 3), keepdim=True)))))
        z = torch.cat([F.max_pool2d(z, 3, 2, 1), F.avg_pool2d(right, 3, 2, 1)[:, :6]], 1)
        z = F.silu(z)[:, [3, 1, 10, 4, 6, 2, 8, 13]]
        return self.last(F.relu(self.whole(torch.flatten(z, 1))))


class Means(nn.Module):
    """A network that ends with a mean, as SqueezeNet does, with windows beyond the border and zeros as channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.last = nn.Conv2d(1, 6, 3), nn.Conv2d(10, 10, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.stem(x)), 3, 2, ceil_mode=True)
        x = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
        x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))
        return F.relu(self.last(x)).mean((2, 3))


def pictures(count: int) -> np.ndarray:
    """Real digits of 16 x 16 pixels."""
    preprocessing = Preprocessing(resolution=16, channels=1, mean=(0.3,), std=(0.4,))
    return preprocessing.normalize(digits().at(preprocessing)[:count].permute(0, 2, 3, 1).numpy())


@pytest.fixture(scope="module")
def files(tmp_path_factory, calibrated):
    """Int8 ONNX files of small networks."""
    folder = tmp_path_factory.mktemp("c99")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        resnet8 = create("resnet20", table=table_cifar(8), shortcut="projection", in_channels=1, width=0.5)
        networks = {
            "everything": Everything().eval(),
            "means": Means().eval(),
            "resnet8": fold_batch_norm(calibrated(resnet8, (1, 16, 16))),
        }
    found = {}
    for name, network in networks.items():
        (folder / f"{name}-float.onnx").write_bytes(probe(network, (1, 16, 16), BATCH))
        found[name] = quantize(folder / f"{name}-float.onnx", folder / f"{name}.onnx", pictures(BATCH), keep_float=0)
    return found


@pytest.fixture(scope="module")
def folders(files):
    return {name: c99.export(file, file.with_suffix("")) for name, file in files.items()}


def program(file):
    return _read.Reader(onnx.load(file)).program()


def by_onnx_runtime(file, x):
    return np.concatenate([load(file)(part) for part in np.split(x, len(x) // BATCH)])


@pytest.mark.parametrize("name", ["everything", "resnet8"])
def test_the_same_bits_as_onnx_runtime_and_as_the_reference(name, files, folders):
    x = pictures(2 * BATCH)
    got = c99.load(folders[name])(x)
    np.testing.assert_array_equal(got, by_onnx_runtime(files[name], x))
    np.testing.assert_array_equal(got, _reference.run(program(files[name]), x))
    assert len(np.unique(got)) > 20


def test_means_are_exact_where_onnx_runtime_sums_in_float(files, folders):
    """A mean of 2, 4 or 6 bytes can be a half, which float32 rounds to either side: a step of one byte."""
    x = pictures(BATCH)
    got, network = load(folders["means"] / "c99.json")(x), program(files["means"])
    np.testing.assert_array_equal(got, _reference.run(network, x))
    differences = np.abs(got - by_onnx_runtime(files["means"], x))
    assert differences.max() <= 2 * network.maps[-1].scale
    assert len(np.unique(got)) > 20


@pytest.mark.parametrize("flags", [SANITIZERS, ("-O3", "-march=native", "-ffast-math")], ids=["sanitized", "fast"])
def test_no_compiler_changes_a_bit(flags, files, folders):
    x = pictures(BATCH)
    for name in ("everything", "means"):
        np.testing.assert_array_equal(c99.load(folders[name], flags=flags)(x), _reference.run(program(files[name]), x))


def test_every_kernel_of_bytes_is_tried(folders):
    tried = {
        kernel for folder in folders.values() for kernel in KERNELS if f"model_{kernel}(" in text(folder, "model.c")
    }
    assert tried == {"conv", "depthwise", "add", "multiply", "copy", "max_pool", "average_pool"}


def text(folder, file):
    return (folder / file).read_text(encoding="utf-8")


def test_the_source_has_no_allocation_and_no_float(folders):
    for file in ("model.c", "model_kernels.c", "model_kernels.h"):
        code = re.sub(r"/\*.*?\*/", "", text(folders["everything"], file), flags=re.DOTALL)
        if file != "model_kernels.h":  # it has the types of AdderNets' floats
            assert not re.search(r"\b(float|double)\b", code)
        assert not re.search(r"\b(malloc|calloc|alloca|free|memcpy)\b", code)
        assert {*re.findall(r"#include [<\"](.*)[>\"]", code)} <= {"stdint.h", "model.h", "model_kernels.h"}


def test_rounding_is_that_of_float32(tmp_path):
    """Sums and scales of all sizes, and ties: single precision by numpy, and by the kernels' integers."""
    random = np.random.default_rng(0)
    sums = (random.integers(-(2**31), 2**31, 60_000) >> random.integers(0, 31, 60_000)).astype(np.int32)
    scales = (2.0 ** random.uniform(-20, 3, 60_000)).astype(np.float32)
    scales[::3] = 2.0 ** random.integers(-20, 3, 20_000)  # many ties
    kernels = c99.Path(_plan.__file__).parent / "kernels"
    (tmp_path / "try.c").write_text(
        f'#include <stdint.h>\n#include <stdio.h>\n#include "{kernels}/rounding.c"\n#include "{kernels}/scaling.c"\n'
        """
        int main(void) {
            int32_t sum; uint32_t scale;
            while (fread(&sum, 4, 1, stdin) == 1 && fread(&scale, 4, 1, stdin) == 1) {
                const int64_t value = fw_divided(fw_scaled(sum, scale), fw_shift(scale));
                const uint8_t byte = fw_within(value, 0, 255);
                if (fwrite(&value, 8, 1, stdout) != 1 || byte != (value < 0 ? 0 : value > 255 ? 255 : value)) return 1;
            }
            return 0;
        }
        """
    )
    build(compiler_of(), "-O2", "-o", tmp_path / "try", tmp_path / "try.c")
    given = np.stack([sums.view(np.uint32), scales.view(np.uint32)], 1)
    out = subprocess.run([tmp_path / "try"], input=given.tobytes(), capture_output=True, check=True).stdout
    np.testing.assert_array_equal(np.frombuffer(out, np.int64), np.rint(sums.astype(np.float32) * scales))


HARNESS = """
#define _XOPEN_SOURCE 700
#include <stdio.h>
#include <string.h>
#include <ucontext.h>
#include "model.h"
static unsigned char stack[1 << 16];
static ucontext_t back, there;
static void run(void) { static int32_t logits[MODEL_CLASSES]; model_run(logits); }
static void nothing(void) {}
static size_t used(void (*function)(void)) {
    memset(stack, 0xa5, sizeof stack);
    getcontext(&there);
    there.uc_stack.ss_sp = stack;
    there.uc_stack.ss_size = sizeof stack;
    there.uc_link = &back;
    makecontext(&there, function, 0);
    swapcontext(&back, &there);
    size_t untouched = 0;
    while (stack[untouched] == 0xa5) ++untouched;
    return sizeof stack - untouched;
}
int main(void) { printf("%zu", used(run) - used(nothing)); return 0; }
"""


@pytest.mark.parametrize("optimize", ["-Os", "-O2"])
def test_peak_ram_is_as_planned(optimize, folders, tmp_path):
    """Static memory as the linker sees it, and a painted stack after a run."""
    folder = folders["resnet8"]
    (tmp_path / "harness.c").write_text(HARNESS)
    parts = [folder / "model.c", folder / "model_kernels.c", tmp_path / "harness.c"]
    build(compiler_of(), optimize, f"-I{folder}", "-o", tmp_path / "harness", *parts)
    stack = int(subprocess.run([tmp_path / "harness"], capture_output=True, check=True).stdout)
    planned, made = c99.sizes(folder), c99.measure(folder, flags=(optimize,))
    measured = made.static_bytes + 4 * 10 + stack
    assert 0.95 * planned.ram_bytes < measured <= planned.ram_bytes
    assert 0 < stack <= _folder.STACK_BYTES
    assert 0 < made.stack_bytes <= _folder.STACK_BYTES
    assert made.static_bytes == planned.arena_bytes
    assert planned.constant_bytes < made.flash_bytes < planned.constant_bytes + 8192


def test_maps_that_are_alive_together_never_overlap(files):
    """Each byte of the arena is owned by the map that wrote it last until that map's last reader is done."""
    for file in files.values():
        network = program(file)
        plan = _plan.planned(network)
        owner = np.full(plan.arena_bytes, -1)
        spans = [slice(at, at + own.size) for at, own in zip(plan.offsets, network.maps, strict=True)]
        owner[spans[0]] = 0
        for step in network.steps:
            for number in sources(step):
                assert (owner[spans[number]] == number).all(), (file.name, step)
            owner[spans[step.output]] = step.output
        assert (owner[spans[-1]] == len(network.maps) - 1).all()
        assert plan.arena_bytes == plan.least_bytes


def test_the_same_model_gives_the_same_bytes(files, folders, tmp_path):
    again = c99.export(files["everything"], tmp_path / "again")
    for path in folders["everything"].iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes()


def test_two_networks_in_one_program(files, tmp_path):
    parts = []
    for name in ("everything", "means"):
        folder = c99.export(files[name], tmp_path / name, name=name, metadata={"labels": ["*/"]})
        parts += [folder / f"{name}.c", folder / f"{name}_kernels.c"]
    (tmp_path / "both.c").write_text(
        '#include "everything/everything.h"\n#include "means/means.h"\nint main(void) {'
        "int32_t a[EVERYTHING_CLASSES], b[MEANS_CLASSES]; everything_input()[0] = means_input()[0] = 1;"
        "return everything_run(a) + means_run(b) < 0; }"
    )
    build(compiler_of(), "-o", tmp_path / "both", tmp_path / "both.c", *parts)
    subprocess.run([tmp_path / "both"], check=True)
    assert c99.load(tmp_path / "means").metadata["labels"] == ["*/"]


def test_what_the_kernels_lack_is_named(files, tmp_path):
    proto = onnx.load(files["everything"])
    for node in proto.graph.node:
        if node.op_type == "Sigmoid":
            node.op_type, node.name = "Erf", "body.gelu"
    (tmp_path / "erf.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(c99.UnsupportedError, match=r"the kernels lack Erf \(body.gelu\)"):
        c99.export(tmp_path / "erf.onnx", tmp_path / "out")
    in_float = files["everything"].with_name("everything-float.onnx")
    with pytest.raises(c99.UnsupportedError, match="the network is in float; wanted an int8 file"):
        c99.export(in_float, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_wrong_input_is_refused(files, folders, tmp_path, monkeypatch):
    (tmp_path / "damaged.onnx").write_bytes(files["means"].read_bytes()[:1000])
    with pytest.raises(ModelFileError, match=r"damaged.onnx is not an ONNX model"):
        c99.export(tmp_path / "damaged.onnx", tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="there is no model file"):
        c99.export(tmp_path / "none.onnx", tmp_path / "out")
    with pytest.raises(ValueError, match="C99 source is int8; it has no 'float32'"):
        c99.export(files["means"], tmp_path / "out", precision="float32")
    with pytest.raises(ValueError, match="wanted a name of small letters, digits and _, as 'model'; got '2nd net'"):
        c99.export(files["means"], tmp_path / "out", name="2nd net")
    with pytest.raises(ValueError, match="on 1 thread; got threads=2"):
        c99.load(folders["means"], 2)
    with pytest.raises(FileNotFoundError, match=r"c99.json"):
        c99.load(tmp_path)
    with pytest.raises(c99.CompilerError, match="there is no C compiler no-such-cc"):
        c99.load(folders["means"], compiler="no-such-cc")
    said = json.loads(text(folders["means"], "c99.json"))
    del said["sizes"]
    (tmp_path / "c99.json").write_text(json.dumps(said))
    with pytest.raises(ModelFileError, match="damaged: it lacks sizes"):
        c99.sizes(tmp_path)
    with pytest.raises(c99.CompilerError, match=r"refuses the source: .*-fno-such-option"):
        c99.measure(folders["means"], flags=("-fno-such-option",))
    monkeypatch.setenv("PATH", "")
    assert "there is no C compiler" in c99.missing()
