"""Writing files whole or not at all."""

import stat

import pytest

from featherweight._files import atomic_folder, atomic_path, write_atomically


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


def test_a_folder_is_there_whole_or_not_at_all(tmp_path):
    target = tmp_path / "model"
    with atomic_folder(target) as temporary:
        (temporary / "sub").mkdir()
        (temporary / "sub" / "a").write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_folder(target) as temporary:
        (temporary / "a").write_text("new")
        1 / 0  # noqa: B018
    assert (target / "sub" / "a").read_text() == "old"
    with atomic_folder(target) as temporary:
        (temporary / "sub").mkdir()
        (temporary / "sub" / "a").write_text("new")
        (temporary / "b").write_text("new")
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")} == {
        "model", "model/b", "model/sub", "model/sub/a",
    }  # fmt: skip


def test_a_folder_with_something_of_the_users_stays(tmp_path):
    target = tmp_path / "pictures"
    target.mkdir()
    (target / "holiday.jpg").write_text("mine")
    complaint = r"cannot replace the folder .*pictures: it holds holiday.jpg, not ours"
    with pytest.raises(FileExistsError, match=complaint), atomic_folder(target) as temporary:
        (temporary / "model.bin").write_text("weights")
    assert [(file.name, file.read_text()) for file in target.iterdir()] == [("holiday.jpg", "mine")]
    assert [*tmp_path.iterdir()] == [target]


def test_folders_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("a file")
    for path, error, message in (
        (tmp_path / "file", NotADirectoryError, "a file has that name"),
        (tmp_path / "none" / "model", FileNotFoundError, "the folder .*none does not exist"),
        (tmp_path / "model", FileNotFoundError, "nothing was written for"),
    ):
        with pytest.raises(error, match=message), atomic_folder(path):
            pass
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_to_a_folder_is_replaced_and_what_it_shows_stays(tmp_path, there) -> None:
    shown, link = tmp_path / "shown", tmp_path / "link"
    if there:
        shown.mkdir()
        (shown / "file").write_text("old")
    link.symlink_to("shown")
    with atomic_folder(link) as temporary:
        (temporary / "file").write_text("new")
    assert not link.is_symlink()
    assert (link / "file").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", *["shown"] * there]
    assert not there or (shown / "file").read_text() == "old"


def test_nobody_replaces_the_folder_that_he_stands_in(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (".", ".."):
        with pytest.raises(FileExistsError, match="name it, from the folder"), atomic_folder(path):
            pass
