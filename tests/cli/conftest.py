"""Running the command in this process."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from featherweight.cli import main


class Answer(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def featherweight(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Return a function that runs `featherweight` with the given words."""

    def run(*words: object) -> Answer:
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        code = end.value.code
        return Answer(code if isinstance(code, int) else 0, captured.out, captured.err)

    return run
