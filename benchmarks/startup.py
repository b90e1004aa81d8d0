"""How long the command line takes to answer, against what it promises.

`featherweight --help` answers in under 0.5 s; `featherweight list` takes at most 0.5 s more than `import torch`.
"""

import statistics
import subprocess
import sys
import time

ROUNDS = 7
COMMANDS = {
    "help": ["-m", "featherweight", "--help"],
    "import torch": ["-c", "import torch"],
    "list": ["-m", "featherweight", "list"],
    "python": ["-c", "pass"],
}


def measure() -> dict[str, float]:
    """Return the median seconds of each command; rounds are interleaved, so that a busy moment hits all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, arguments in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def main() -> None:
    seconds = measure()
    for name, median in seconds.items():
        print(f"{name:14}{median:7.3f} s")
    over_torch = seconds["list"] - seconds["import torch"]
    print(f"help against its limit: {seconds['help'] / 0.5:.2f} (of 0.5 s)")
    print(f"list beyond import torch against its limit: {over_torch / 0.5:.2f} (of 0.5 s)")
    if seconds["help"] > 0.5 or over_torch > 0.5:
        raise SystemExit("slower than promised")


if __name__ == "__main__":
    main()
