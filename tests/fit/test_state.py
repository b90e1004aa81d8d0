from pathlib import Path

import pytest

from featherweight._fit import SettingsError
from featherweight._fit._state import State, check_outside

from .test_settings import parse


def test_an_unfinished_run_is_not_overwritten_and_not_forgotten(tmp_path: Path) -> None:
    state = State(tmp_path, parse(), resume=False, overwrite=False)
    state.facts["plan"] = [[2, 3.0]]
    state.save(12.5)
    with pytest.raises(FileExistsError, match=r"holds an unfinished run \(go on with --resume\)"):
        State(tmp_path, parse(), resume=False, overwrite=False)
    again = State(tmp_path, parse(), resume=True, overwrite=False)
    assert again.facts["plan"] == [[2, 3.0]]
    assert again.facts["seconds"] == 12.5


def test_resume_wants_the_same_question(tmp_path: Path) -> None:
    State(tmp_path, parse(), resume=False, overwrite=False)
    with pytest.raises(SettingsError, match="had other settings: seed: 0 there, 1 now"):
        State(tmp_path, parse(seed=1), resume=True, overwrite=False)


def test_resume_of_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no unfinished run"):
        State(tmp_path, parse(), resume=True, overwrite=False)


def test_results_are_replaced_only_when_asked(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"precious")
    with pytest.raises(FileExistsError, match=r"holds results \(model.onnx\)"):
        State(tmp_path, parse(), resume=False, overwrite=False)
    assert (tmp_path / "model.onnx").read_bytes() == b"precious"
    State(tmp_path, parse(), resume=False, overwrite=True)
    assert (tmp_path / "work" / "state.json").exists()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file"):
        State(tmp_path / "out", parse(), resume=False, overwrite=False)


def test_what_never_began_leaves_nothing_behind(tmp_path: Path) -> None:
    State(tmp_path / "out", parse(), resume=False, overwrite=False).discard()
    assert not (tmp_path / "out").exists()
    (tmp_path / "model.onnx").write_bytes(b"precious")
    State(tmp_path, parse(), resume=False, overwrite=True).discard()
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_results_do_not_lie_among_the_pictures(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="would lie among the pictures"):
        check_outside(tmp_path / "pictures" / "out", str(tmp_path / "pictures"))
    check_outside(tmp_path / "pictures-out", str(tmp_path / "pictures"))
