import os
import subprocess
import sys

import pytest

SHOW = "import os, sys; {do}; print(os.environ.get('GOMP_SPINCOUNT'))"


@pytest.mark.parametrize(
    ("do", "environment", "wanted"),
    [
        ("import featherweight; featherweight.create", {}, "1000"),
        ("import featherweight", {}, "None"),
        ("import featherweight; featherweight.create", {"GOMP_SPINCOUNT": "7"}, "7"),
        ("import featherweight; featherweight.create", {"OMP_WAIT_POLICY": "active"}, "None"),
        ("import torch, featherweight; featherweight.create", {}, "None"),
    ],
    ids=["before PyTorch", "not by importing", "not over the user's", "not over the user's policy", "not too late"],
)
def test_threads_are_told_to_sleep_once_before_pytorch_is_loaded(
    do: str, environment: dict[str, str], wanted: str
) -> None:
    plain = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run(
        [sys.executable, "-c", SHOW.format(do=do)],
        env={**plain, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == wanted
