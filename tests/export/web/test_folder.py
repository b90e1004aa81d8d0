"""The folder that `export` writes, run without a browser; and how its runtime is installed."""

import base64
import gzip
import io
import json
import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import onnx
import pytest

from featherweight.compress import quantize
from featherweight.environments import (
    ENVIRONMENTS,
    EnvironmentMissingError,
    InstallError,
    environment_folder,
    install,
    missing,
)
from featherweight.environments._npm import sha512_of
from featherweight.export import TARGETS, ModelFileError, load, prove, web

WEB = ENVIRONMENTS["web"]
NAMES = {*web.FILES, web.MODEL, web.RUNTIME, "model.onnx"}


def put(version: str = "1.30.0") -> Path:
    """Lay down something that looks like the package, for tests that run nothing."""
    folder = environment_folder("web")
    (folder / "dist").mkdir(parents=True)
    said = {"name": "web", "requirements": [f"onnxruntime-web@{version}"], "versions": {}, "shares": None, "bytes": 0}
    (folder / "featherweight.json").write_text(json.dumps(said))
    for name in WEB.npm.files:
        (folder / name).write_bytes(b"runtime")
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FEATHERWEIGHT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def needs_node() -> None:
    if shutil.which("node") is None:
        pytest.skip("Node.js is not installed")


def test_nodes_answers_are_onnx_runtimes(digits_page: Path, digits_onnx: Path, digit_inputs) -> None:
    needs_node()
    pictures, labels = digit_inputs
    runner, expected = load(digits_page), load(digits_onnx)  # load knows the folder
    assert isinstance(runner, web.WebRunner)
    assert runner.labels == expected.labels
    assert runner.preprocessing == expected.preprocessing
    assert (runner.input_shape, runner.num_classes) == ((1, 32, 32), 10)
    reference, given = expected(pictures[1400:1600]), runner(pictures[1400:1600])
    parity = prove(reference, given, labels[1400:1600])
    assert parity.agreement == 1
    assert parity.accuracy_exported > 0.7
    assert runner(pictures[:0]).shape == (0, 10)
    with pytest.raises(ValueError, match="takes pictures of shape N x 1 x 32 x 32"):
        runner(pictures[:, :, :8])


def test_int8_answers_are_onnx_runtimes(installed, digits_onnx: Path, digit_inputs, tmp_path: Path) -> None:
    needs_node()
    pictures, _ = digit_inputs
    quantize(digits_onnx, tmp_path / "int8.onnx", pictures[:8])
    runner = web.load(web.export(tmp_path / "int8.onnx", tmp_path / "page", precision="int8"))
    expected = load(tmp_path / "int8.onnx")
    given, reference = runner(pictures[:200]), expected(pictures[:200])
    # Bytes are bytes; but a value halfway between two of them may be rounded the other way by another processor.
    assert (given == reference).all(axis=1).mean() > 0.8
    assert (given.argmax(axis=1) == reference.argmax(axis=1)).mean() > 0.95


def test_a_network_that_cannot_run_is_an_error_with_its_reason(digits_page: Path, tmp_path: Path) -> None:
    needs_node()
    folder = tmp_path / "page"
    shutil.copytree(digits_page, folder)
    said = web._read_script(folder / web.MODEL, web.MODEL_SAYS, ("inputShape", "labels", "metadata", "batch"))
    web._write_script(folder / web.MODEL, web.MODEL_SAYS, {**said, "model": web._packed(b"no model")})
    with pytest.raises(ModelFileError, match=r"onnxruntime-web cannot run .*page: .*protobuf"):
        web.load(folder)
    runtime = folder / web.RUNTIME
    said = web._read_script(runtime, web.RUNTIME_SAYS, ("module", "wasm"))
    web._write_script(runtime, web.RUNTIME_SAYS, {**said, "module": web._packed(b"export default hostile()")})
    with pytest.raises(
        ModelFileError, match=r"onnxruntime-web\.js is not what .* and is not run: export the folder anew"
    ):
        web.load(folder)
    (folder / web.MODEL).write_text("something else")
    with pytest.raises(ModelFileError, match=r"model\.js is not what featherweight writes"):
        web.load(folder)
    with pytest.raises(FileNotFoundError, match=r"nowhere"):
        web.load(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"1 thread; got threads=2"):
        web.load(digits_page, threads=2)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (
            'echo \'{"count": 2, "seconds": 1}\'; printf 1234; echo no memory >&2',
            "a whole answer .*: no memory",
        ),
        ("printf '{\"count\": 2'; echo no memory >&2", "a whole answer .*: no memory"),
        ('echo \'{"count": 2, "seconds": 1}\'; exec sleep 60', "without a whole answer"),
        ('echo \'{"count": 1, "seconds": 1}\'; printf 1234', "gave 1 logits; wanted 2, its labels, for each of 1 pic"),
    ],
)
def test_an_answer_that_is_not_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, complaint) -> None:
    monkeypatch.setattr(web, "LONGEST_SECONDS", 5.0)
    node = tmp_path / "node"
    node.write_text(f"#!/bin/sh\necho '{{\"ready\": 1}}'\nhead -c 8 > {tmp_path}/picture\n{answer}\n")
    node.chmod(0o755)
    said = {"inputShape": [1, 1, 1], "labels": ["a", "b"], "metadata": {}, "batch": 64}
    runner = web.WebRunner(tmp_path, said, str(node))
    with pytest.raises(ModelFileError, match=complaint):
        runner(np.zeros((1, 1, 1, 1), np.float32))


def test_the_file_by_which_a_folder_is_known_names_it(digits_page: Path) -> None:
    needs_node()
    assert load(digits_page / web.MODEL).labels == tuple("0123456789")


def two_faced(python: bytes, node: bytes) -> str:
    """Pack two programs into one text: Python's base64 leaves out "-", in that of Node.js it is a digit.

    So the header's extra field is of another length for each, and the other's stream lies in it.
    """
    extra = bytearray(0xFFFF)
    hidden = gzip.compress(node, mtime=0)[10:]
    extra[0xBEFF - 3 : 0xBEFF - 3 + len(hidden)] = hidden
    shown = gzip.compress(python, mtime=0)
    packed = shown[:3] + b"\x04" + shown[4:10] + b"\xff\xff" + extra + shown[10:]
    text = base64.b64encode(packed).decode()
    return f"{text[:14]}----{text[14:]}"


def test_a_runtime_is_checked_by_the_program_that_runs_it(digits_page: Path, tmp_path: Path) -> None:
    needs_node()
    folder, mark = tmp_path / "page", tmp_path / "mark"
    shutil.copytree(digits_page, folder)
    runtime = folder / web.RUNTIME
    said = web._read_script(runtime, web.RUNTIME_SAYS, ("module", "wasm"))
    known = gzip.decompress(base64.b64decode(said["module"]))
    hostile = f"import {{ writeFileSync }} from 'node:fs'; writeFileSync({json.dumps(str(mark))}, '');".encode()
    text = two_faced(known, hostile)
    assert gzip.decompress(base64.b64decode(text)) == known
    web._write_script(runtime, web.RUNTIME_SAYS, {**said, "module": text})
    with pytest.raises(ModelFileError, match=r"onnxruntime-web\.js is not what .* and is not run"):
        web.load(folder)
    assert not mark.exists()


def test_a_folder_is_replaced_whole_and_nothing_of_others(home: Path, digits_onnx: Path, tmp_path: Path) -> None:
    put()
    folder = tmp_path / "page"
    for _ in range(2):
        assert web.export(digits_onnx, folder) == folder
        assert {file.name for file in folder.iterdir()} == NAMES
    assert (folder / "model.onnx").read_bytes() == digits_onnx.read_bytes()
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"thesis\.txt"):
        web.export(digits_onnx, folder)
    assert (folder / "thesis.txt").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"home", "page"}  # nothing temporary is left


def test_what_no_page_can_be_made_of(home: Path, digits_onnx: Path, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentMissingError, match=r"environment web is not installed .*install web"):
        web.export(digits_onnx, tmp_path / "page")
    reason = TARGETS["web"].missing()
    assert reason is not None
    assert "featherweight environment install web" in reason
    put()
    assert shutil.which("node") is None or TARGETS["web"].missing() is None
    with pytest.raises(ModelFileError, match=r"digits\.onnx is float; it cannot become int8"):
        web.export(digits_onnx, tmp_path / "page", precision="int8")
    with pytest.raises(ModelFileError, match=r"wanted 10 labels in the metadata; got \['a'\]"):
        web.export(digits_onnx, tmp_path / "page", metadata={"labels": ["a"]})
    with pytest.raises(ModelFileError, match=r"digits\.onnx: its preprocessing lacks mean and std"):
        web.export(digits_onnx, tmp_path / "page", metadata={"preprocessing": {"channels": 1, "resolution": 32}})
    with pytest.raises(ModelFileError, match=r"takes \[1, 32, 32\], but its preprocessing gives \[1, 8, 8\]"):
        web.export(digits_onnx, tmp_path / "page", metadata={"preprocessing": {"channels": 1, "resolution": 8}})
    with pytest.raises(ModelFileError, match=r"digits\.onnx: the metadata's network is no object: 'mine'"):
        web.export(digits_onnx, tmp_path / "page", metadata={"network": "mine"})
    proto = onnx.load(digits_onnx)
    del proto.metadata_props[:]
    onnx.save(proto, tmp_path / "foreign.onnx")
    with pytest.raises(ModelFileError, match=r"no metadata of ours"):
        web.export(tmp_path / "foreign.onnx", tmp_path / "page")
    assert not (tmp_path / "page").exists()


def npm(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program of this name before the others."""
    folder.mkdir()
    (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_a_network_that_browsers_cannot_read(home: Path, digits_onnx: Path, tmp_path: Path, monkeypatch) -> None:
    put()
    monkeypatch.setattr(web, "LONGEST_SCRIPT", 1000)
    with pytest.raises(ModelFileError, match=r"B of model.js, and browsers read a script of at most 1 kB"):
        web.export(digits_onnx, tmp_path / "page")
    assert not (tmp_path / "page").exists()


def test_only_the_known_package_is_installed(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "archive"
    with tarfile.open(archive, "w:gz") as tar:
        for name in (*WEB.npm.files, "more.js"):
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(name)
            tar.addfile(member, io.BytesIO(name.encode()))
    npm(tmp_path / "bin", f"cp {archive} onnxruntime-web.tgz", monkeypatch)
    old = put(version="0.1")
    with pytest.raises(InstallError, match=r"npm gave another onnxruntime-web.* than is known: SHA-512 "):
        install("web")
    assert "holds onnxruntime-web@0.1, other versions than wanted" in missing("web")
    assert (old / WEB.npm.files[0]).read_bytes() == b"runtime"  # what was there stays
    known = WEB._replace(npm=WEB.npm._replace(sha512=sha512_of(archive)))
    monkeypatch.setitem(ENVIRONMENTS, "web", known)
    folder = install("web")
    assert missing("web") is None
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.*")} == {"featherweight.json", *WEB.npm.files}
    assert (folder / WEB.npm.files[0]).read_text() == WEB.npm.files[0]
    assert [path.name for path in folder.parent.iterdir()] == ["web"]
    (folder / WEB.npm.files[1]).unlink()
    assert f"the environment web lacks {WEB.npm.files[1]}: featherweight environment install web" in missing("web")


def test_npms_own_words_are_passed_on(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm(tmp_path / "bin", "echo 'npm error no such host' >&2; exit 1", monkeypatch)
    with pytest.raises(InstallError, match=r"npm pack .* failed: npm error no such host"):
        install("web")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InstallError, match=r"npm is not installed"):
        install("web")


def test_what_npm_fetched_goes_with_a_killed_installation(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm(tmp_path / "bin", 'pwd > "$WHERE"; exit 1', monkeypatch)
    monkeypatch.setenv("WHERE", str(tmp_path / "where"))
    with pytest.raises(InstallError):
        install("web")
    where = Path((tmp_path / "where").read_text().strip()).relative_to(environment_folder("web").parent)
    assert where.parts[0].startswith(".web.")  # which `remove` looks for
