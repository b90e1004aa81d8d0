"""A worker in an environment, from the side of the one who asks; the other side is `_serve`."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Self
from weakref import finalize

from ._serve import read, write

PROGRAM = Path(__file__).with_name("_serve.py")
TIMEOUT_SECONDS = 1800.0
TAIL = 5  # lines of what a worker that died had printed


class WorkerError(RuntimeError):
    """A worker could not do what it was asked, or died of it; the message has the package's own words."""


class Worker:
    """A process in an environment: converts models there, and keeps one loaded to run.

    It ends with `close`, at the end of a `with`, or when nobody holds it any longer, and with it what it has started.

    Args:
        python: of the environment: see `require_environment`.
        code: a file with `convert(**arguments) -> dict` and `load(path, threads) -> function`, where the function
            takes one picture, float32 [1, C, H, W], and gives logits [1, classes].
        threads: that its libraries may start.
        timeout_seconds: the longest that an answer may take.
    """

    def __init__(self, python: Path, code: Path, threads: int = 1, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._timeout = timeout_seconds
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the worker
        limits = {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [python, "-I", "-u", PROGRAM, code], env={**os.environ, **limits}, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self._printed, process_group=0,
        )  # fmt: skip
        self.close = finalize(self, _end, self._process, self._printed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Send a request and wait for the answer; numpy arrays go as their bytes.

        Raises: WorkerError: what went wrong there, or how the process ended, or that it took too long.
        """
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        late = threading.Event()
        timer = threading.Timer(self._timeout, _give_up, (process, late))
        timer.start()
        try:
            write(process.stdin, {"do": do, **request})  # type: ignore[arg-type]
            answer = read(process.stdout)  # type: ignore[arg-type]
        except (BrokenPipeError, ValueError):  # it has died before, or been closed
            answer = None
        except BaseException:  # interrupted: an answer that comes later must not be taken for the next one's
            self.close()
            raise
        finally:
            timer.cancel()
        if answer is None:
            raise WorkerError(self._last_words(do, late.is_set()))
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def _last_words(self, do: str, late: bool) -> str:
        if not self.close.alive:
            return "its process has been closed"
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._printed.seek(0)
        printed = self._printed.read().decode(errors="replace").strip().splitlines()[-TAIL:]
        code = self._process.returncode
        self.close()
        if late:
            return f"{do} took longer than {self._timeout:g} s"
        ending = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        return f"its process died of it, {ending}: {' / '.join(printed) or 'without a word'}"


def _give_up(process: "subprocess.Popen[bytes]", late: threading.Event) -> None:
    late.set()
    _kill(process)


def _end(process: "subprocess.Popen[bytes]", printed: Any) -> None:
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        with suppress(BrokenPipeError):
            pipe.close()
    _kill(process)
    process.wait()
    printed.close()


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End a process, and those that it has started."""
    if sys.platform == "win32":
        process.kill()
        return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
