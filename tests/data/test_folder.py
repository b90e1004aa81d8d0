"""Folders of pictures: their layouts, and everything that can be wrong with one."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featherweight.data import DataError, Preprocessing, Quarantined, open_folder

PLAIN = {"mean": (0.0,) * 3, "std": (1.0,) * 3}


def save(path: Path, seed: int, *, mode: str = "RGB", side: int = 10, kind: str | None = None) -> Path:
    """Write a picture of noise; another seed, another picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(path, kind)
    return path


def fill(folder: Path, classes: tuple[str, ...] = ("cat", "dog"), count: int = 3, **options: object) -> Path:
    for c, name in enumerate(classes):
        for i in range(count):
            save(folder / name / f"{i}.png", 1000 * c + i, **options)
    return folder


def snapshot(folder: Path) -> dict[str, tuple[int, ...]]:
    """What a read could have changed of each file."""
    states = {path: path.lstat() for path in folder.rglob("*")}
    return {str(path): (s.st_ino, s.st_mode, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for path, s in states.items()}


def test_class_folders(tmp_path: Path) -> None:
    fill(tmp_path / "pets")
    save(tmp_path / "pets" / "cat" / "more" / "deep" / "x.bmp", 7, side=30)
    pictures = open_folder(tmp_path / "pets")
    assert (pictures.name, pictures.classes, pictures.channels, pictures.native_side) == ("pets", ("cat", "dog"), 3, 10)
    cats = ("cat/0.png", "cat/1.png", "cat/2.png", "cat/more/deep/x.bmp")
    assert pictures.paths == (*cats, *(f"dog/{i}.png" for i in range(3)))
    assert pictures.labels.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert pictures.labels.dtype == np.int64
    assert pictures.splits is None
    assert pictures.quarantine == ()
    assert len(set(pictures.fingerprints)) == 7


def test_training_and_testing_are_splits_too(tmp_path: Path) -> None:
    for part in ("Training", "Testing"):
        fill(tmp_path / part, count=1)
    assert open_folder(tmp_path).classes == ("cat", "dog")


def test_splits_beside_other_folders_are_not_taken_for_classes(tmp_path: Path) -> None:
    for part in ("train", "test", "unlabelled"):
        fill(tmp_path / part, count=1)
    with pytest.raises(DataError, match="test, train with classes inside stand beside unlabelled"):
        open_folder(tmp_path)


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
def test_split_folders(tmp_path: Path, val: str) -> None:
    for part, seed in (("train", 0), (val, 100), ("test", 200)):
        save(tmp_path / part / "cat" / "a.png", seed)
        save(tmp_path / part / "dog" / "a.png", seed + 1)
    pictures = open_folder(tmp_path)
    assert pictures.splits is not None
    by_path = dict(zip(pictures.paths, pictures.splits.tolist(), strict=True))
    assert by_path == {
        f"{part}/{name}/a.png": split
        for part, split in (("train", "train"), (val, "val"), ("test", "test"))
        for name in ("cat", "dog")
    }


def test_classes_may_be_named_train_and_test(tmp_path: Path) -> None:
    assert open_folder(fill(tmp_path, ("test", "train"))).classes == ("test", "train")
    assert open_folder(fill(tmp_path, ("bus", "train"))).splits is None


def test_pictures_are_told_by_content_not_by_name(tmp_path: Path) -> None:
    fill(tmp_path)
    for i, kind in enumerate(("JPEG", "PNG", "WEBP", "BMP")):
        save(tmp_path / "cat" / f"{kind}.txt", 50 + i, kind=kind)
    assert len(open_folder(tmp_path)) == 10


def test_hidden_files_are_passed_over(tmp_path: Path) -> None:
    fill(tmp_path)
    for name in (".DS_Store", "cat/.hidden.png", "cat/Thumbs.db", "dog/desktop.ini", ".git/config", "__MACOSX/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"not a picture")
    pictures = open_folder(tmp_path)
    assert (len(pictures), pictures.classes, pictures.quarantine) == (6, ("cat", "dog"), ())


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("1", 1), ("RGB", 3), ("P", 3)])
def test_channels(tmp_path: Path, mode: str, channels: int) -> None:
    assert open_folder(fill(tmp_path, mode=mode)).channels == channels


def test_one_colour_picture_makes_the_collection_colour(tmp_path: Path) -> None:
    fill(tmp_path, mode="L")
    save(tmp_path / "dog" / "colour.png", 5)
    pictures = open_folder(tmp_path)
    images = pictures.at(Preprocessing(resolution=10, channels=3, **PLAIN))
    assert (pictures.channels, images.shape) == (3, (7, 3, 10, 10))
    assert bool((images[0, 0] == images[0, 2]).all())


def bomb() -> bytes:
    """A PNG that says it has 60000 x 60000 pixels."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def forbid(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Make a file unreadable, also for root, whom its mode does not keep out."""
    path.chmod(0)
    read = Path.read_bytes

    def read_bytes(self: Path) -> bytes:
        if self.name == path.name:
            raise PermissionError(13, "Permission denied", str(self))
        return read(self)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)


def test_hostile_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that can be wrong, in one folder: each is listed with its reason, the rest is used, nothing is changed."""
    folder = fill(tmp_path / "data", count=80)
    outside = save(tmp_path / "secret.png", 1)
    cat = folder / "cat"
    whole = save(tmp_path / "whole.png", 2, side=40).read_bytes()
    (cat / "empty.png").touch()
    (cat / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (cat / "broken.png").write_bytes(whole[:60] + bytes(200) + whole[260:])
    (cat / "bomb.png").write_bytes(bomb())
    (cat / "large.bmp").write_bytes(b"BM" + bytes(200_000))
    (cat / "text.png").write_text("<html>404 Not Found</html>")
    (cat / "notes.txt").write_text("hello")
    (cat / "odd\x1b[2J.jpg").write_bytes(b"\xff\xd8\xff")
    save(cat / "locked.png", 3)
    forbid(monkeypatch, cat / "locked.png")
    os.mkfifo(cat / "pipe.png")
    (cat / "out.png").symlink_to(outside)
    (cat / "out").symlink_to(tmp_path)
    (cat / "nothing.png").symlink_to(folder / "gone.png")
    (cat / "self.png").symlink_to(cat / "self.png")
    (cat / "loop").symlink_to(folder)
    (cat / "dogs").symlink_to(folder / "dog")
    (cat / "same.png").symlink_to(cat / "0.png")  # allowed: a picture of this folder
    (folder / "linked").symlink_to(folder / "dog")
    (folder / "README.md").write_text("hello")
    before = snapshot(folder)

    pictures = open_folder(folder, max_bytes=100_000, max_bad=0.2)

    reasons = {bad.path: bad.reason for bad in pictures.quarantine}
    assert reasons.pop("cat/broken.png").startswith("broken: ")
    assert reasons == {
        "README.md": "not inside a class folder",
        "cat/bomb.png": "too many pixels: 60000 x 60000, at most 100000000 are read",
        "cat/dogs": "a link to another folder of the collection",
        "cat/empty.png": "empty",
        "cat/large.bmp": "too many bytes: 200002, at most 100000 are read",
        "cat/locked.png": "cannot be read: Permission denied",
        "cat/loop": "a directory loop",
        "cat/nothing.png": "a link to nothing",
        "cat/notes.txt": "not a picture (JPEG, PNG, WebP or BMP)",
        "cat/odd\\x1b[2J.jpg": "truncated",
        "cat/out": "a link that leads out of the folder",
        "cat/out.png": "a link that leads out of the folder",
        "cat/pipe.png": "not a regular file",
        "cat/self.png": "a link that cannot be followed: Too many levels of symbolic links",
        "cat/text.png": "not a picture (JPEG, PNG, WebP or BMP)",
        "cat/truncated.png": "truncated",
        "linked": "a link to another folder of the collection",
    }
    assert len(pictures.quarantine) == 18
    assert len(pictures) == 161
    assert "cat/same.png" in pictures.paths
    assert pictures.at(Preprocessing(resolution=8, channels=3, **PLAIN)).shape == (161, 3, 8, 8)
    assert snapshot(folder) == before


def test_unreadable_folders_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, count=6)
    (tmp_path / "cat" / "locked").mkdir()
    children = Path.iterdir

    def iterdir(self: Path) -> object:
        if self.name == "locked":
            raise PermissionError(13, "Permission denied", str(self))
        return children(self)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert open_folder(tmp_path).quarantine == (Quarantined("cat/locked", "cannot be read: Permission denied"),)


def test_damaged_metadata_is_no_reason_and_no_warning(tmp_path: Path) -> None:
    fill(tmp_path)
    picture = Image.open(tmp_path / "cat" / "0.png")
    for suffix in ("png", "jpg", "webp"):
        exif = b"Exif\0\0II*\0\x08\0\0\0\x09\0\x12\x01\x03\0"  # says that nine entries follow
        picture.save(tmp_path / "cat" / f"exif.{suffix}", exif=exif)
    assert open_folder(tmp_path).quarantine == ()


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    fill(tmp_path)
    name = os.fsdecode(b"caf\xe9.png")
    try:
        save(tmp_path / "cat" / name, 3)
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    pictures = open_folder(tmp_path)
    assert "cat/caf\\udce9.png" in pictures.paths
    assert "".join(pictures.paths).encode()


def test_more_than_a_tenth_bad_stops(tmp_path: Path) -> None:
    fill(tmp_path, count=9)
    (tmp_path / "cat" / "a.png").touch()
    (tmp_path / "cat" / "b.png").touch()
    assert len(open_folder(tmp_path).quarantine) == 2  # 2 of 20 are a tenth, and not more
    (tmp_path / "dog" / "c.png").write_text("text")
    with pytest.raises(DataError) as error:
        open_folder(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: 3 of 21 files (14%) cannot be used; at most 10% may be bad (max_bad=0.1). The bad files:\n"
        "  cat/a.png: empty\n  cat/b.png: empty\n  dog/c.png: not a picture (JPEG, PNG, WebP or BMP)"
    )
    assert len(open_folder(tmp_path, max_bad=0.5)) == 18


def test_a_long_list_is_cut(tmp_path: Path) -> None:
    fill(tmp_path, count=2)
    for i in range(9):
        (tmp_path / "cat" / f"bad{i}.png").touch()
    with pytest.raises(DataError, match=r"9 of 13 files \(69%\)(.|\n)*bad4.png: empty\n  and 4 more$"):
        open_folder(tmp_path)


def test_a_class_left_empty_stops(tmp_path: Path) -> None:
    fill(tmp_path, count=20)
    (tmp_path / "bird").mkdir()
    (tmp_path / "bird" / "a.png").touch()
    with pytest.raises(
        DataError, match=r"none that can be read for class 'bird'\. The bad files:\n  bird/a.png: empty"
    ):
        open_folder(tmp_path)


def test_a_class_that_only_the_test_has_stops(tmp_path: Path) -> None:
    fill(tmp_path / "train")
    fill(tmp_path / "test", ("cat", "dog", "emu"))
    with pytest.raises(DataError, match="none that can be read in train for class 'emu'"):
        open_folder(tmp_path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "no such folder: "),
        (lambda folder: folder.write_text("x"), "wanted a folder of pictures .* got a file: "),
        (lambda folder: folder.mkdir(), "wanted at least 2 folders of pictures, .*; got none"),
        (lambda folder: fill(folder, ("cat",)), "wanted at least 2 folders .*; got only 'cat'"),
        (lambda folder: save(folder / "a.png", 1), r"got none.*\n  a.png: not inside a class folder"),
        (lambda folder: fill(folder / "pets"), r"got only 'pets'. Did you mean .*data/pets\?"),
    ],
)
def test_what_is_no_collection_is_told(tmp_path: Path, make: object, message: str) -> None:
    make(tmp_path / "data")  # type: ignore[operator]
    with pytest.raises(DataError, match=message):
        open_folder(tmp_path / "data")


def test_progress_is_told(tmp_path: Path) -> None:
    fill(tmp_path)
    told: list[tuple[int, int]] = []
    open_folder(tmp_path, progress=lambda done, total: told.append((done, total)))
    assert told == [(i, 6) for i in range(1, 7)]


def test_a_large_collection_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path)
    shape = Preprocessing(resolution=6, channels=3, **PLAIN)
    kept = open_folder(tmp_path).at(shape)
    monkeypatch.setattr("featherweight.data._folder.KEPT_BYTES", 1000)
    pictures = open_folder(tmp_path)
    assert bool((pictures.at(shape) == kept).all())
    (tmp_path / "cat" / "1.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"cat/1\.png was good when the collection was opened, and now is not: empty"):
        pictures.at(Preprocessing(resolution=7, channels=3, **PLAIN))
