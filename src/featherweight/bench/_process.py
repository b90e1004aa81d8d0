"""A child process that measures, from the side of the one who asks; the other side is `_worker`."""

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import Any, Self

FIRST = ("load", "calibrate", "layers")  # requests that need no other before them


class WorkerError(RuntimeError):
    """A child process could not do what it was asked, or died of it."""


class Worker:
    """A child process that measures in one runtime: see `_worker`.

    One that died is started anew by the next request that needs no other before it.
    """

    def __init__(self, runtime: str, threads: int, timeout_seconds: float) -> None:
        self.runtime, self.threads, self._timeout = runtime, threads, timeout_seconds
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def ask(self, **request: object) -> dict[str, Any]:
        """Send a request and wait for the answer.

        Raises: WorkerError: the runtime's error, or how the process ended, or that it took too long.
        """
        if self._process is None:
            if request["do"] not in FIRST:
                raise WorkerError("its process has ended")
            self._process = self._start()
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        late = threading.Event()
        timer = threading.Timer(self._timeout, _give_up, (process, late))
        timer.start()
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            timer.cancel()
        if not line:
            self._stop()
            if late.is_set():
                raise WorkerError(f"{request['do']} took longer than {self._timeout:.0f} s")
            raise WorkerError(f"its process died of it: {_ending(process.returncode)}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def _start(self) -> subprocess.Popen[str]:
        limits = {"OMP_NUM_THREADS": str(self.threads), "OPENBLAS_NUM_THREADS": "1"}
        return subprocess.Popen(
            self._command(), env={**os.environ, **limits}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, encoding="utf-8",
        )  # fmt: skip

    def _command(self) -> list[str]:
        cores = sorted(os.sched_getaffinity(0))[: self.threads] if sys.platform == "linux" else []
        module = "featherweight.bench._worker"
        return [sys.executable, "-m", module, self.runtime, str(self.threads), *map(str, cores)]

    def _stop(self) -> None:
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe is not None
                with suppress(BrokenPipeError):
                    pipe.close()
            self._process.kill()
            self._process.wait()
            self._process = None


def _give_up(process: subprocess.Popen[str], late: threading.Event) -> None:
    late.set()
    process.kill()


def _ending(code: int) -> str:
    if code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"
