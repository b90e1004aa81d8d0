"""One picture file to pixels, whatever its kind, mode and turn; or the reason why not. Needs no PyTorch."""

import os
import stat
import struct
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

Pixels = NDArray[np.uint8]

# A large JPEG is decoded at 1/2, 1/4 or 1/8 as long as neither side falls below this: several times faster, and more
# than any network's input. The rule knows nothing of the network, so that a picture has the same pixels everywhere.
DRAFT_SIDE = 1024

# What Pillow's readers raise on broken files.
PILLOW_ERRORS = (
    OSError, SyntaxError, ValueError, IndexError, TypeError, KeyError, AttributeError, EOFError, OverflowError,
    ZeroDivisionError, struct.error, Image.DecompressionBombError,
)  # fmt: skip


class BadPictureError(ValueError):
    """A file that is no usable picture; `reason` says why.

    Example:
        >>> from featherweight.data import decode
        >>> decode(b"")
        Traceback (most recent call last):
        ...
        featherweight.data._decode.BadPictureError: empty
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What is too large to be read: guards against decompression bombs and files that fill the memory.

    Args:
        max_pixels: width x height, checked in the header before anything is decoded.
        max_bytes: size of the file.
    """

    max_pixels: int = 100_000_000
    max_bytes: int = 100_000_000


LIMITS = Limits()


def decode(source: str | Path | bytes, *, channels: int | None = None, limits: Limits = LIMITS) -> Pixels:
    """Read a JPEG, PNG, WebP or BMP picture, recognised by its content.

    Palettes are resolved, transparency is laid on white, CMYK becomes RGB, 16-bit grey becomes 8-bit, the picture is
    turned as its EXIF orientation says, of an animation the first frame is taken. Colour profiles are not applied. A
    JPEG of 2048 pixels or more on its shorter side is decoded at 1/2, 1/4 or 1/8, at no less than 1024.

    Args:
        source: a path, or the file's content.
        channels: 1 (grey) or 3 (RGB); None: 1 if every pixel is grey, else 3.
    Shape: uint8 [height, width, channels]
    Raises:
        BadPictureError: not a picture, broken, truncated, empty, too large, or not to be read; `reason` says which.
        FileNotFoundError: no such file.
        ValueError: channels is not 1, 3 or None.

    Example:
        >>> import io
        >>> from PIL import Image
        >>> file = io.BytesIO()
        >>> Image.new("LA", (3, 2), (0, 0)).save(file, "PNG")  # wholly transparent
        >>> decode(file.getvalue(), channels=1)[0].tolist()
        [[255], [255], [255]]
    """
    if channels not in (None, 1, 3):
        raise ValueError(f"channels must be 1 (grey), 3 (RGB) or None (as the picture is); got {channels!r}")
    content = source if isinstance(source, bytes) else read_file(Path(source), limits)
    if len(content) > limits.max_bytes:
        raise BadPictureError(_too_many_bytes(len(content), limits))
    try:
        picture = _open(content)
        if picture.width * picture.height > limits.max_pixels:
            raise BadPictureError(
                f"too many pixels: {picture.width} x {picture.height}, at most {limits.max_pixels} are read"
            )
        picture.draft(None, (DRAFT_SIDE, DRAFT_SIDE))
        picture.load()
    except BadPictureError:
        raise
    except Image.DecompressionBombError as error:
        raise BadPictureError(f"too many pixels: {error}") from error
    except PILLOW_ERRORS as error:
        raise BadPictureError(_what_broke(content, error)) from error
    _turn(picture)
    return with_channels(_pixels(picture), channels)


def with_channels(image: Pixels, channels: int | None) -> Pixels:
    """Give a picture 1 or 3 channels; None: 1 if every pixel is grey. [H, W, 1 or 3] -> [H, W, channels]."""
    if image.shape[2] == 1:
        return np.repeat(image, 3, axis=2) if channels == 3 else image
    if channels == 1:
        return _array(Image.fromarray(image).convert("L"))
    if channels is None and _is_grey(image[::8]) and _is_grey(image):  # most colour pictures show it in a few rows
        return np.ascontiguousarray(image[:, :, :1])
    return image


def read_file(path: Path, limits: Limits) -> bytes:
    """Read a regular file that is not too large; a pipe or a device is never opened."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise BadPictureError("not a regular file")
        if status.st_size > limits.max_bytes:
            raise BadPictureError(_too_many_bytes(status.st_size, limits))
        return path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise BadPictureError(f"cannot be read: {error.strerror or error}") from error


def _too_many_bytes(size: int, limits: Limits) -> str:
    return f"too many bytes: {size}, at most {limits.max_bytes} are read"


def _open(content: bytes) -> ImageFile:
    """Open by the content's first bytes. Pillow's own `open` has a pixel limit that is global to the process."""
    if not content:
        raise BadPictureError("empty")
    if content.startswith(b"\xff\xd8\xff"):
        return JpegImageFile(BytesIO(content))
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return PngImageFile(BytesIO(content))
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return WebPImageFile(BytesIO(content))
    if content.startswith(b"BM"):
        return BmpImageFile(BytesIO(content))
    raise BadPictureError("not a picture (JPEG, PNG, WebP or BMP)")


def _what_broke(content: bytes, error: Exception) -> str:
    message = str(error).strip() or type(error).__name__
    if _lacks_its_end(content) or "truncated" in message.lower():
        return "truncated"
    return f"broken: {message}"


def _lacks_its_end(content: bytes) -> bool:
    """Whether the end mark is missing, or bytes that the header promises."""
    if content.startswith(b"RIFF"):
        return len(content) < int.from_bytes(content[4:8], "little") + 8
    if content.startswith(b"BM"):
        return len(content) < max(26, int.from_bytes(content[2:6], "little"))
    return (b"\xff\xd9" if content.startswith(b"\xff\xd8") else b"IEND") not in content[-64:]


def _turn(picture: ImageFile) -> None:
    """Turn as the camera was held; a damaged EXIF block does not make the pixels unusable, and is passed over."""
    try:
        ImageOps.exif_transpose(picture, in_place=True)
    except PILLOW_ERRORS:
        return


def _pixels(picture: Image.Image) -> Pixels:
    """[H, W, 1] for the grey modes, else [H, W, 3]."""
    if picture.mode.startswith("I"):
        return _from_16_bit(picture)
    if picture.has_transparency_data:
        grey = picture.mode in ("1", "L", "LA", "La")
        opaque = "L" if grey else "RGB"
        picture = picture.convert("LA" if grey else "RGBA")
        picture = Image.composite(
            picture.convert(opaque), Image.new(opaque, picture.size, "white"), picture.getchannel("A")
        )
    return _array(picture.convert("L" if picture.mode in ("1", "L") else "RGB"))


def _from_16_bit(picture: Image.Image) -> Pixels:
    values = np.asarray(picture).astype(np.uint32).clip(0, 65535)
    key = picture.info.get("transparency")
    if isinstance(key, int):
        values[values == key] = 65535
    return ((values + 128) // 257).astype(np.uint8)[:, :, np.newaxis]


def _array(picture: Image.Image) -> Pixels:
    array = np.array(picture, dtype=np.uint8)
    return array[:, :, np.newaxis] if array.ndim == 2 else array


def _is_grey(image: Pixels) -> bool:
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    return bool((red == green).all() and (green == blue).all())


def shown(path: str | os.PathLike[str]) -> str:
    """Spell a path so that it can be printed and written as UTF-8, whatever bytes the file's name has.

    Example:
        >>> print(shown("cat/a\\x1b[2J.png"))
        cat/a\\x1b[2J.png
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in os.fspath(path))
