"""Writing files whole or not at all."""

import stat

import pytest

from featherweight._files import atomic_path, write_atomically


@pytest.mark.parametrize("content", [b"\x00\xff", "grüße\r\n", b""])
def test_writes_and_overwrites(tmp_path, content):
    path = tmp_path / "out.txt"
    path.write_text("old")
    assert write_atomically(path, content) == path
    assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert list(tmp_path.iterdir()) == [path]


def test_old_file_stays_until_the_block_ends(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_text("old")
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent
        assert temporary.suffix == ".onnx"
        assert temporary.name.startswith(".")
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failing_block_leaves_the_old_file_and_no_other(tmp_path, error):
    path = tmp_path / "metrics.json"
    path.write_text("old")
    with pytest.raises(error), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_new_files_have_the_usual_permissions(tmp_path):
    written, usual = write_atomically(tmp_path / "written", "x"), tmp_path / "usual"
    usual.write_text("x")
    assert stat.S_IMODE(written.stat().st_mode) == stat.S_IMODE(usual.stat().st_mode)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"out\.json: the folder .*missing does not exist"):
        write_atomically(tmp_path / "missing" / "out.json", "x")


def test_a_folder_is_not_overwritten(tmp_path):
    with pytest.raises(IsADirectoryError, match="a folder has that name"):
        write_atomically(tmp_path, "x")


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match=r"nothing was written for .*out\.bin"),
        atomic_path(tmp_path / "out.bin"),
    ):
        pass
