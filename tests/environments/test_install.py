"""Making environments: a real one with one tiny package, made without the network; and all that can go wrong."""

import json
import os
import subprocess
import sys
import zipfile

import pytest

from featherweight._files import size_on_disk
from featherweight.environments import (
    ENVIRONMENTS,
    Environment,
    EnvironmentMissingError,
    EnvironmentUnknownError,
    InstallError,
    _install,
    environment_folder,
    install,
    missing,
    remove,
    require_environment,
)
from featherweight.environments._places import NOTE, shared_torch


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FEATHERWEIGHT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def row(tmp_path, monkeypatch):
    """An environment of one package that has one line."""
    wheel = tmp_path / "tiny_package-1.5-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        info = "tiny_package-1.5.dist-info"
        archive.writestr("tiny_package.py", "ANSWER = 42\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-package\nVersion: 1.5\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    made = Environment("tiny", "a test", (str(wheel),), ("tiny_package",), ("tiny-package",), disk_bytes=50_000_000)
    monkeypatch.setitem(ENVIRONMENTS, "tiny", made)
    return made


@pytest.fixture
def quick(monkeypatch):
    """Skip what takes seconds: the virtual environment is an empty folder, pip does nothing, nothing is checked."""
    monkeypatch.setattr(_install, "_make", lambda folder, shared: (folder / "bin").mkdir(parents=True))
    monkeypatch.setattr(_install, "_pip", lambda python, environment, progress: python.write_text(""))
    monkeypatch.setattr(_install, "_check", lambda python, environment: {"tiny-package": "1.5"})


def everything(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_real_environment(row, home, featherweight) -> None:
    done = featherweight("environment", "install", "tiny", "--json")
    row = done.json
    assert row["versions"] == {"tiny-package": "1.5"}
    assert row["missing"] is None
    assert "checking that it works" in done.err
    folder = home / "environments" / "tiny"
    assert 0 < size_on_disk(folder) - row["bytes"] < 1000  # the note itself
    code = "import tiny_package, sys; print(tiny_package.ANSWER, 'torch' in sys.modules, sys.prefix)"
    said = subprocess.run([require_environment("tiny"), "-I", "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["42", "False", str(folder)]
    assert "tiny-package 1.5" in featherweight("environment").out
    assert "removed" in featherweight("environment", "remove", "tiny").err
    assert everything(home / "environments") == []


def test_its_place(monkeypatch, tmp_path) -> None:
    assert environment_folder("web") == tmp_path / "home" / "environments" / "web"
    monkeypatch.delenv("FEATHERWEIGHT_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert environment_folder("web") == tmp_path / "cache" / "featherweight" / "environments" / "web"


def test_it_is_missing_before_it_is_installed(row) -> None:
    with pytest.raises(EnvironmentMissingError, match=r"tiny is not installed .*: featherweight environment install t"):
        require_environment("tiny")
    with pytest.raises(EnvironmentUnknownError, match="no environment is called 'tinny'; known: ncnn, executorch, lit"):
        require_environment("tinny")


@pytest.mark.parametrize("step", ["_make", "_pip", "_check"])
def test_an_interruption_leaves_nothing(row, quick, home, monkeypatch, step) -> None:
    def interrupt(folder, *_):
        folder.parent.mkdir(parents=True, exist_ok=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(_install, step, interrupt)
    with pytest.raises(KeyboardInterrupt):
        install("tiny")
    assert everything(home / "environments") == []


def test_a_failure_keeps_what_was_there(row, quick, home, monkeypatch) -> None:
    (install("tiny") / "mark").write_text("old")
    with monkeypatch.context() as patch:
        patch.setattr(_install, "_check", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            install("tiny")
    assert everything(home / "environments") == ["tiny"]
    assert (home / "environments" / "tiny" / "mark").exists()
    assert not (install("tiny") / "mark").exists()  # made anew
    assert everything(home / "environments") == ["tiny"]


def test_what_no_longer_fits_is_said(row, quick, monkeypatch, tmp_path) -> None:
    folder = install("tiny")
    assert missing("tiny") is None
    note = json.loads((folder / NOTE).read_text())
    (folder / NOTE).write_text(json.dumps({**note, "shares": str(tmp_path), "versions": {"torch": "2.15.0"}}))
    assert "shares PyTorch 2.15.0 of" in missing("tiny")
    (folder / NOTE).write_text(json.dumps({**note, "requirements": ["tiny==1.4"]}))
    assert "holds tiny==1.4, other versions than wanted" in missing("tiny")
    for damaged in ("", "[]", "{}"):
        (folder / NOTE).write_text(damaged)
        assert "tiny is damaged, its featherweight.json cannot be read: featherweight env" in missing("tiny")
    (folder / NOTE).write_text(json.dumps(note))
    (folder / "bin" / "python").unlink()
    assert "the Python that the environment tiny was made with is gone" in missing("tiny")


def test_leftovers_of_a_killed_installation_go_with_it(row, quick, home) -> None:
    left = home / "environments" / ".tiny.0123abcd"
    left.mkdir(parents=True)
    (left / "half").write_bytes(bytes(1000))
    assert remove("tiny") == 1000
    assert everything(home / "environments") == []


def test_a_full_disk_is_noticed_before(row, quick, monkeypatch) -> None:
    monkeypatch.setitem(ENVIRONMENTS, "tiny", row._replace(disk_bytes=10**18))
    with pytest.raises(InstallError, match=r"tiny takes about .* has room for .* Set FEATHERWEIGHT_HOME to"):
        install("tiny")


def test_pip_that_fails_is_quoted(row, tmp_path) -> None:
    row = row._replace(requirements=(str(tmp_path / "absent.whl"),))
    with pytest.raises(InstallError, match=r"pip could not install .*absent\.whl: .*ERROR"):
        _install._pip(sys.executable, row, lambda line: None)


def test_a_package_that_cannot_be_imported_is_noticed(row) -> None:
    with pytest.raises(InstallError, match=r"tiny was installed but does not work: .*No module named 'no_such_module'"):
        _install._check(sys.executable, row._replace(modules=("no_such_module",)))


def test_torch_is_shared_where_it_fits(row, monkeypatch) -> None:
    found = shared_torch()
    assert found is not None
    version, folder = found
    assert (folder / "torch" / "__init__.py").is_file()
    assert _install._shared(row._replace(sharing=True, torch=version[:4])) == folder
    assert _install._shared(row._replace(sharing=True, torch="1.2.")) is None
    assert _install._shared(row) is None


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["install"], "install needs a name: ncnn, executorch, litert"),
        (["install", "ncn"], "no environment is called 'ncn'; known: ncnn"),
        (["list", "ncnn"], "list takes no name; got 'ncnn'"),
    ],
)
def test_words_that_cannot_be_meant(featherweight, words, complaint) -> None:
    answer = featherweight("environment", *words)
    assert answer.code == 2
    assert complaint in answer.err


def test_removing_what_is_not_there(featherweight) -> None:
    assert featherweight("environment", "remove", "ncnn").err == "ncnn was not installed\n"
    assert featherweight("environment", "remove", "ncnn", "--json").json == {"name": "ncnn", "freed_bytes": 0}


def test_a_running_installation_keeps_its_folder(row, quick, home) -> None:
    running, killed = (home / "environments" / f".tiny.{number}-0123abcd" for number in (os.getpid(), 1 << 30))
    for folder in (running, killed):
        folder.mkdir(parents=True)
    remove("tiny")
    assert (running.exists(), killed.exists()) == (True, False)
