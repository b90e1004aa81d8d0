"""On a machine without Triton."""

import subprocess
import sys
from pathlib import Path

import featherweight

OPS = Path(featherweight.__file__).parent / "ops"


def test_pytest_collects_the_examples_of_all_files_that_can_be_imported():
    code = "import sys; sys.modules['triton'] = None; import pytest; sys.exit(pytest.main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "--collect-only", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(OPS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "featherweight.ops.adder.op.adder2d" in done.stdout
    assert "triton" not in done.stdout
