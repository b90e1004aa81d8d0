"""Workers: requests and answers, arrays, errors, and processes that die."""

import io
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from featherweight.environments import Worker, WorkerError
from featherweight.environments._serve import read, write

FAKE = """
import os, signal, subprocess, time
import numpy as np

def convert(how, x=None):
    print("a library's own words")
    if how == "fail":
        raise LookupError("no layer for Fold")
    if how == "die":
        print("cannot allocate")
        os._exit(3)
    if how == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "sleep":
        time.sleep(60)
    if how == "start":
        return {"pid": subprocess.Popen(["sleep", "60"]).pid}
    return {"doubled": x * 2, "threads": os.environ["OMP_NUM_THREADS"]}

def load(path, threads):
    def run(x):
        time.sleep(0.01)
        return x.sum((2, 3)) * threads
    return run
"""


@pytest.fixture
def fake(tmp_path) -> Path:
    file = tmp_path / "fake.py"
    file.write_text(FAKE)
    return file


@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.float16])
def test_messages_keep_every_bit(dtype) -> None:
    arrays = {
        "x": np.arange(24, dtype=dtype).reshape(2, 3, 4)[:, ::2],  # not contiguous
        "empty": np.zeros((0, 3), dtype),
        "scalar": np.array(7, dtype),
    }
    stream = io.BytesIO()
    write(stream, {"do": "run", "name": "ä\n", **arrays})
    write(stream, {"next": [1, None]})
    stream.seek(0)
    message = read(stream)
    assert message.pop("do") == "run"
    assert message.pop("name") == "ä\n"
    for name, array in arrays.items():
        assert message[name].dtype == dtype
        np.testing.assert_array_equal(message[name], array)
        assert message[name].flags.writeable
    assert read(stream) == {"next": [1, None]}
    assert read(stream) is None


def test_a_message_that_is_cut_is_none() -> None:
    stream = io.BytesIO()
    write(stream, {"x": np.zeros(100)})
    for cut in (10, 60, len(stream.getvalue()) - 1):
        assert read(io.BytesIO(stream.getvalue()[:cut])) is None


def test_a_worker(fake) -> None:
    x = np.random.default_rng(0).standard_normal((3, 2, 400, 400), dtype=np.float32)  # more than a pipe holds
    with Worker(sys.executable, fake, threads=2) as worker:
        answer = worker.ask("convert", how="well", x=x)
        np.testing.assert_array_equal(answer["doubled"], x * 2)
        assert answer["threads"] == "2"
        with pytest.raises(WorkerError, match=r"^LookupError: no layer for Fold$"):
            worker.ask("convert", how="fail")
        with pytest.raises(WorkerError, match="no model is loaded"):
            worker.ask("logits", x=x)
        worker.ask("load", path="", threads=3)  # it has outlived two errors
        np.testing.assert_allclose(worker.ask("logits", x=x)["logits"], 3 * x.sum((2, 3)), rtol=1e-4, atol=0.1)
        seconds = worker.ask("seconds", x=x[:1], runs=5)["seconds"]
        assert seconds.shape == (5,)
        assert seconds.min() >= 0.01
    with pytest.raises(WorkerError, match="its process has been closed"):
        worker.ask("logits", x=x)


@pytest.mark.parametrize(
    ("how", "complaint"),
    [("die", r"its process died of it, exit code 3: .*cannot allocate"), ("crash", "its process died of it, SIGSEGV")],
)
def test_a_worker_that_dies_says_how(fake, how, complaint) -> None:
    with Worker(sys.executable, fake) as worker, pytest.raises(WorkerError, match=complaint):
        worker.ask("convert", how=how)


def test_a_worker_that_takes_too_long_is_ended(fake) -> None:
    worker = Worker(sys.executable, fake, timeout_seconds=0.5)
    with pytest.raises(WorkerError, match=r"convert took longer than 0\.5 s"):
        worker.ask("convert", how="sleep")


def test_nobody_holds_it_and_it_ends(fake) -> None:
    worker = Worker(sys.executable, fake)
    pid = worker._process.pid
    del worker
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


def test_what_it_has_started_ends_with_it(fake) -> None:
    with Worker(sys.executable, fake) as worker:
        pid = worker.ask("convert", how="start")["pid"]
        os.kill(pid, 0)
    for _ in range(100):  # until whoever inherits it has noticed
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("it still runs")
