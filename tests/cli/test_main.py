"""Help that teaches, exit codes that mean something, and an answer in time."""

import os
import re
import subprocess
import sys

import pytest
import typer

import featherweight as package
from featherweight import cli
from featherweight.cli import app, main

COMMANDS = sorted(typer.main.get_command(app).commands)


def test_help_lists_every_exit_code(featherweight) -> None:
    answer = featherweight("--help")
    assert answer.code == 0
    for code in ("0 ", "1 ", "2 ", "3 ", "130"):
        assert re.search(rf"^\s+{code}\s*\w", answer.out, re.MULTILINE)
    assert featherweight("-h") == answer


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_has_examples_that_name_it_and_json(featherweight, command) -> None:
    answer = featherweight(command, "--help")
    assert answer.code == 0
    assert f"featherweight {command}" in answer.out.split("Examples:")[1]
    assert "--json" in answer.out


def test_version(featherweight) -> None:
    assert featherweight("--version").out.strip() == package.__version__


def test_a_wrong_command_is_answered_with_the_nearest(featherweight) -> None:
    answer = featherweight("lst")
    assert answer.code == 2
    assert answer.out == ""
    assert "'list'" in answer.err


def test_a_wrong_option_is_wrong_usage(featherweight) -> None:
    assert featherweight("list", "--famly", "x").code == 2


@pytest.mark.parametrize(
    ("error", "code"), [(FileNotFoundError("no such file: x"), 1), (cli._errors.UsageError("no"), 2)]
)
def test_an_expected_error_is_one_line(featherweight, monkeypatch, error, code) -> None:
    monkeypatch.setattr("featherweight.cli.info.collect", lambda: (_ for _ in ()).throw(error))
    answer = featherweight("info")
    assert (answer.code, answer.out, answer.err) == (code, "", f"featherweight: {error}\n")


def test_an_unexpected_error_keeps_its_traceback(monkeypatch) -> None:
    monkeypatch.setattr("featherweight.cli.info.collect", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["info"])


def test_an_interruption_is_130(featherweight, monkeypatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("featherweight.cli.info.collect", interrupted)
    answer = featherweight("info")
    assert (answer.code, answer.out, answer.err) == (130, "", "featherweight: interrupted\n")


def test_help_is_quick() -> None:
    """A few times what its libraries take to import, in processor time; benchmarks/startup.py holds it to seconds."""
    help_seconds = min(_processor_seconds([sys.executable, "-m", "featherweight", "--help"]) for _ in range(3))
    imports = min(_processor_seconds([sys.executable, "-c", "import typer, rich.markdown"]) for _ in range(3))
    assert help_seconds < 2.5 * imports


def test_help_imports_nothing_heavy() -> None:
    code = "import sys\nfrom featherweight.cli import main\ntry: main(['--help'])\nfinally: print(sorted(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for heavy in ("torch", "numpy", "PIL", "lightning", "onnxruntime"):
        assert f"'{heavy}'" not in out


def test_list_takes_little_longer_than_pytorch(tmp_path) -> None:
    """Under half as long again as `import torch`, in processor time, with byte code written as on a user's disk."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(tmp_path)
    code = """
import sys, time
start = time.process_time()
import torch
between = time.process_time()
from featherweight.cli import main
try:
    main(["list"])
finally:
    print((time.process_time() - between) / (between - start), file=sys.stderr)
"""
    command = [sys.executable, "-c", code]
    ratios = []
    while len(ratios) < 4 and min(ratios, default=1.0) >= 0.5:
        run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        ratios.append(float(run.stderr))
    assert min(ratios) < 0.5


def _processor_seconds(command: list[str]) -> float:
    """Return the user and system time of a command."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime
