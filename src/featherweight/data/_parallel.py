"""A function over many items in threads: Pillow decodes and resizes outside Python's lock."""

import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Progress = Callable[[int, int], None]


def in_order(
    function: Callable[[Item], Result], items: Sequence[Item], progress: Progress | None = None
) -> Iterator[Result]:
    """Give `function(item)` for each item, in the items' order; few results wait at a time, so that memory is bounded.

    Pillow's warnings on damaged metadata are silenced meanwhile; `progress(done, total)` is called in this thread.
    """
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    waiting: deque[Future[Result]] = deque()
    with warnings.catch_warnings(), ThreadPoolExecutor(threads) as pool:
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        try:
            for done in range(len(items)):
                while len(waiting) < 8 * threads and done + len(waiting) < len(items):
                    waiting.append(pool.submit(function, items[done + len(waiting)]))
                yield waiting.popleft().result()
                if progress is not None:
                    progress(done + 1, len(items))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
