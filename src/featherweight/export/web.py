"""The browser: a folder with a page that runs the network on pictures, drawings and the camera, for anyone to open.

The page is opened with a double click, or comes from any web server; it asks nothing of any other, and no picture
leaves it. ONNX Runtime's own WebAssembly computes, on one thread: more would need a server that isolates the page.
"""

import base64
import gzip
import json
import os
import shutil
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from featherweight import environments
from featherweight._files import atomic_folder
from featherweight._units import format_bytes

from . import _onnx_runtime, onnx
from ._runner import ModelFileError, Runner, model_file, network_in

PAGE = Path(__file__).parent / "_web"
FILES = ("index.html", "page.css", "preprocessing.js", "network.js", "page.js")
MODEL, MODEL_SAYS = "model.js", "globalThis.featherweightModel = "
RUNTIME, RUNTIME_SAYS = "onnxruntime-web.js", "globalThis.onnxruntimeWeb = "
LONGEST_SCRIPT = 2**29 - 24  # characters of a string in V8, which runs Chromium and Node.js
LONGEST_SECONDS = 600.0  # of an answer: then Node.js hangs, and is ended
NO_NODE = "running a page's network without a browser needs Node.js, which is not installed: apt-get install nodejs"
ENVIRONMENT = environments.environment_named("web")
SHA256 = {  # of the two files of that version: Node.js runs no other program that comes with a model
    "module": "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    "wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
LICENSE = f"""\
// {ENVIRONMENT.requirements[0]}, its module and its WebAssembly, deflated with gzip, in base64.
//
// MIT License. Copyright (c) Microsoft Corporation.
//
// Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
// documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
// rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to
// permit persons to whom the Software is furnished to do so, subject to the following conditions:
//
// The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
// Software.
//
// THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
// WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
// COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
// OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def export(
    onnx_file: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    precision: str = "float32",
    metadata: Mapping[str, object] | None = None,
) -> Path:
    """Write a folder with a page that runs an ONNX file of ours: index.html, to be opened with a double click.

    Any web server serves it, too: `python -m http.server --directory FOLDER`; a phone lends its camera only to https.

    Besides the page there are model.onnx, for other programs, and what the page itself loads: model.js, the same
    deflated and as text, and onnxruntime-web.js with the runtime, 4.9 MB. A script in a page of yours can use
    them too: `featherweight.classify(picture)`, described in network.js.

    A picture is prepared as `featherweight.data.Preprocessing` does it, bit for bit, after the browser has decoded it.
    In Chromium that gives Pillow's pixels, up to one level of 255 in grey of 16 bits, in transparent WebPs, and in
    JPEGs of 2048 pixels or more on the shorter side, which `featherweight.data.decode` shrinks while decoding.

    Args:
        onnx_file: what `featherweight.export.export` wrote, and for int8 what `featherweight.compress.quantize` did.
        path: of the folder; the one that it lies in exists. An earlier one of ours is replaced whole.
        precision: "float32", "float16", which halves the file, or "int8".
        metadata: what JSON can hold, in place of what the ONNX file says of itself.
    Returns: `path` as a Path.
    Raises:
        FileNotFoundError: there is no such file, or no folder to write to.
        FileExistsError: the folder holds something that is not ours.
        ModelFileError: not an ONNX file of ours, of another precision, or without labels or preprocessing; or the
            metadata's network is no object; or a network so large that no browser reads it.
        EnvironmentMissingError: onnxruntime-web is not installed; the message says how it is.
        TargetError: another precision.
    """
    module, wasm = _runtime()
    runner = _onnx_runtime.load(model_file(onnx_file), threads=1)
    runner.metadata = {**runner.metadata, **(metadata or {})}
    said = {**_said(runner, Path(onnx_file)), "precision": precision}
    with atomic_folder(path) as folder:
        for name in FILES:
            shutil.copyfile(PAGE / name, folder / name)
        model = onnx.export(onnx_file, folder / "model.onnx", precision=precision, metadata=runner.metadata)
        content = model.read_bytes()
        _write_script(folder / MODEL, MODEL_SAYS, {**said, "bytes": len(content), "model": _packed(content)})
        parts = {"module": _packed(module), "wasm": _packed(wasm)}
        _write_script(
            folder / RUNTIME,
            RUNTIME_SAYS,
            {"version": ENVIRONMENT.requirements[0].rpartition("@")[2], **parts},
            comment=LICENSE,
        )
    return Path(path)


def _runtime() -> list[bytes]:
    """Read the module and the WebAssembly of onnxruntime-web. Raises: EnvironmentMissingError: it is not installed."""
    if reason := environments.missing("web"):
        raise environments.EnvironmentMissingError(reason)
    assert ENVIRONMENT.npm is not None
    return [(environments.environment_folder("web") / name).read_bytes() for name in ENVIRONMENT.npm.files]


def _said(runner: Runner, path: Path) -> dict[str, Any]:
    """Collect what the page shows of the network and how it prepares pictures. Raises: ModelFileError."""
    preprocessing = runner.preprocessing
    wanted = [preprocessing.get(name) for name in ("channels", "resolution", "resolution")]
    if wanted != list(runner.input_shape):
        raise ModelFileError(f"{path} takes {list(runner.input_shape)}, but its preprocessing gives {wanted}")
    if lacks := {"mean", "std"} - preprocessing.keys():
        raise ModelFileError(f"{path}: its preprocessing lacks {' and '.join(sorted(lacks))}")
    return {
        "name": network_in(runner.metadata, path).get("name") or path.stem,
        "labels": list(runner.labels),
        "inputShape": list(runner.input_shape),
        "batch": runner._batch,
        "preprocessing": {"resize": "squash", **preprocessing},
        "metadata": runner.metadata,
    }


def _packed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, mtime=0)).decode()


def _write_script(path: Path, says: str, value: Mapping[str, object], comment: str = "") -> None:
    text = f"{comment}{says}{json.dumps(value, allow_nan=False)};\n"
    if len(text) > LONGEST_SCRIPT:
        raise ModelFileError(
            f"the network takes {format_bytes(len(text))} of {path.name}, and browsers read a script of at most "
            f"{format_bytes(LONGEST_SCRIPT)}; take a lower precision"
        )
    path.write_text(text, encoding="utf-8")


def missing() -> str | None:
    """Say what the target lacks here, with what mends it: the browser's runtime, or Node.js for the proof."""
    return environments.missing("web") or (None if shutil.which("node") else NO_NODE)


class WebRunner(Runner):
    """A folder's network, run by the folder's own files in Node.js: pictures in, logits out. Made by `load`."""

    def __init__(self, folder: Path, said: Mapping[str, Any], node: str) -> None:
        channels, height, width = said["inputShape"]
        super().__init__(said["metadata"], (channels, height, width), len(said["labels"]), str(folder), said["batch"])
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(
            [node, PAGE / "node.mjs", folder, json.dumps(SHA256)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
        )
        weakref.finalize(self, _end, self._process, self._complaints)
        self._answer()

    def seconds(self, x: np.ndarray, runs: int = 50) -> list[float]:
        """Time pictures float32 [N, C, H, W] where they are run, without the way there and back; in seconds."""
        found = []
        for _ in range(runs):
            self._run(x)
            found.append(self._seconds)
        return found

    def _run(self, x: np.ndarray) -> np.ndarray:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(np.uint32(len(x)).tobytes() + np.ascontiguousarray(x).tobytes())
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # its reason is read below
        answer, numbers = self._answer()
        if answer["count"] != len(x) * self.num_classes:
            raise ModelFileError(
                f"{self._source} gave {answer['count']} logits; wanted {self.num_classes}, its labels, for each of "
                f"{len(x)} pictures"
            )
        self._seconds = float(answer["seconds"])
        return np.frombuffer(numbers, np.float32).reshape(len(x), self.num_classes).copy()

    def _answer(self) -> tuple[dict[str, Any], bytes]:
        """Read what Node.js says, and the numbers behind it. Raises: ModelFileError: it failed; with its reason."""
        assert self._process.stdout is not None
        late = threading.Timer(LONGEST_SECONDS, self._process.kill)
        late.start()
        try:
            line = self._process.stdout.readline()
            answer: dict[str, Any] = json.loads(line) if line.endswith(b"\n") else {}
            wanted = 4 * answer.get("count", 0)
            numbers = self._process.stdout.read(wanted)
        finally:
            late.cancel()
        if not answer or len(numbers) < wanted:
            self._complaints.seek(0)
            last = self._complaints.read().decode(errors="replace").strip()[-500:]
            raise ModelFileError(f"Node.js ended without a whole answer from {self._source}: {last}")
        if "error" in answer:
            raise ModelFileError(f"onnxruntime-web cannot run {self._source}: {answer['error']}")
        return answer, numbers


def _end(process: "subprocess.Popen[bytes]", complaints: IO[bytes]) -> None:
    process.kill()  # it keeps nothing
    process.communicate()
    complaints.close()


def load(path: str | os.PathLike[str], threads: int = 1) -> WebRunner:
    """Run a folder that `export` wrote without a browser, by Node.js: the page's own runtime and model.

    Args:
        path: of the folder, or of the model.js in it.
        threads: 1, as in the page.
    Raises:
        FileNotFoundError: there is no such folder.
        ModelFileError: not a folder of ours, one with another runtime than the known one, or one that onnxruntime-web
            cannot run; the message has its reason.
        EnvironmentMissingError: Node.js is not installed.
        ValueError: more threads than one.
    """
    if threads != 1:
        raise ValueError(f"in the browser a network runs on 1 thread; got threads={threads}")
    folder = Path(path)
    if folder.name == MODEL:
        folder = folder.parent
    said = _read_script(folder / MODEL, MODEL_SAYS, ("inputShape", "labels", "metadata", "batch"))
    _read_script(folder / RUNTIME, RUNTIME_SAYS, tuple(SHA256))
    node = shutil.which("node")
    if node is None:
        raise environments.EnvironmentMissingError(NO_NODE)
    return WebRunner(folder, said, node)


def _read_script(path: Path, says: str, wanted: tuple[str, ...]) -> dict[str, Any]:
    """Read what `_write_script` wrote, without running it. Raises: FileNotFoundError, ModelFileError."""
    text = model_file(path).read_text(encoding="utf-8").partition(says)[2]
    try:
        value = json.loads(text.removesuffix(";\n"))
        return {name: value[name] for name in wanted}
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFileError(f"{path} is not what featherweight writes for a page: {error!r}") from error
