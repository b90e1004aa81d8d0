"""Every kind of picture file that there is, made here, decoded to known pixels."""

import io
import random
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from featherweight.data import BadPictureError, Limits, decode

RAMP = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
COLOURS = np.stack([RAMP, RAMP[::-1], np.full_like(RAMP, 40)], axis=2)


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True})])
def test_lossless_colour_keeps_its_pixels(kind: str, options: dict[str, object]) -> None:
    assert np.array_equal(decode(encoded(Image.fromarray(COLOURS), kind, **options)), COLOURS)


def test_jpeg_is_near_its_pixels() -> None:
    smooth = np.asarray(Image.fromarray(COLOURS).resize((64, 48), Image.Resampling.BICUBIC))
    decoded = decode(encoded(Image.fromarray(smooth), "JPEG", quality=95, subsampling=0))
    assert np.abs(decoded.astype(int) - smooth).max() <= 12


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_grey_has_one_channel_unless_three_are_asked_for(kind: str) -> None:
    content = encoded(Image.fromarray(RAMP), kind)
    assert np.array_equal(decode(content)[:, :, 0], RAMP)
    assert np.array_equal(decode(content, channels=3), np.repeat(RAMP[:, :, None], 3, axis=2))


def test_colour_file_of_grey_pixels_is_grey() -> None:
    content = encoded(Image.fromarray(RAMP).convert("RGB"), "PNG")
    assert decode(content).shape == (6, 8, 1)
    nearly = np.repeat(RAMP[:, :, None], 3, axis=2)
    nearly[3, 3, 2] += 1  # in no row that is looked at first
    assert decode(encoded(Image.fromarray(nearly), "PNG")).shape == (6, 8, 3)


def test_colour_becomes_grey_by_luma() -> None:
    grey = decode(encoded(Image.fromarray(COLOURS), "PNG"), channels=1)[:, :, 0]
    assert np.abs(grey - COLOURS @ np.array([0.299, 0.587, 0.114])).max() <= 1


def test_one_bit_is_black_and_white() -> None:
    bits = RAMP > 100
    assert np.array_equal(decode(encoded(Image.fromarray(bits), "PNG"))[:, :, 0], bits * 255)


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_palette_is_resolved(kind: str) -> None:
    picture = Image.new("P", (3, 1))
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    picture.putdata([2, 0, 1])
    assert decode(encoded(picture, kind)).tolist() == [[[0, 0, 255], [255, 0, 0], [0, 255, 0]]]


@pytest.mark.parametrize(
    ("transparency", "first"), [(0, 255), (bytes([0, 255, 255]), 255), (bytes([128, 255, 255]), 127)]
)
def test_transparent_palette_entry_is_laid_on_white(transparency: object, first: int) -> None:
    picture = Image.new("P", (3, 1))
    picture.putpalette([0, 0, 0, 0, 255, 0, 0, 0, 255])
    picture.putdata([0, 1, 2])
    decoded = decode(encoded(picture, "PNG", transparency=transparency))
    assert decoded.tolist() == [[[first] * 3, [0, 255, 0], [0, 0, 255]]]


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_alpha_is_laid_on_white(kind: str) -> None:
    pixels = np.array([[[10, 20, 30, 255], [200, 0, 0, 0], [100, 100, 0, 51]]], np.uint8)
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    # 51 / 255 = 0.2: 0.2 x 100 + 0.8 x 255 = 224, 0.8 x 255 = 204
    wanted = [[[10, 20, 30], [255, 255, 255], [224, 224, 204]]]
    assert decode(encoded(Image.fromarray(pixels), kind, **options)).tolist() == wanted


def test_grey_with_alpha_stays_grey() -> None:
    picture = Image.merge("LA", (Image.fromarray(RAMP), Image.new("L", (8, 6), 51)))
    decoded = decode(encoded(picture, "PNG"))
    assert decoded.shape == (6, 8, 1)
    assert np.abs(decoded[:, :, 0] - (0.2 * RAMP + 204)).max() <= 0.51


@pytest.mark.parametrize(("mode", "key", "black"), [("L", 0, 0), ("1", 0, 0), ("RGB", (0, 0, 0), (0, 0, 0))])
def test_a_transparent_colour_becomes_white(mode: str, key: object, black: object) -> None:
    picture = Image.new(mode, (2, 1), "white")
    picture.putpixel((0, 0), black)
    assert decode(encoded(picture, "PNG", transparency=key)).ravel().tolist() == [255, 255]


def test_16_bit_grey_is_scaled_not_cut() -> None:
    values = np.array([[0, 128, 129, 257, 25_700, 65_535]], np.uint16)
    assert decode(encoded(Image.fromarray(values), "PNG")).ravel().tolist() == [0, 0, 1, 1, 100, 255]
    assert decode(encoded(Image.fromarray(values), "PNG"), channels=3).shape == (1, 6, 3)


def test_16_bit_grey_with_a_transparent_value() -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 0, 0, 0, 0))
    content += chunk(b"tRNS", struct.pack(">H", 1000)) + chunk(
        b"IDAT", zlib.compress(b"\0" + struct.pack(">HH", 1000, 2570))
    )
    assert decode(content + chunk(b"IEND", b"")).ravel().tolist() == [255, 10]


def test_cmyk_as_photoshop_writes_it() -> None:
    """Adobe's files hold 255 - ink. Pillow writes them so too, and marks them."""
    inks = np.zeros((16, 16, 4), np.uint8)
    inks[:, :8, 0] = 255  # cyan on the left; white paper on the right
    content = encoded(Image.frombytes("CMYK", (16, 16), inks.tobytes()), "JPEG")
    assert b"Adobe" in content
    decoded = decode(content).astype(int)
    assert np.abs(decoded[8, 3] - (0, 255, 255)).max() <= 3
    assert np.abs(decoded[8, 12] - (255, 255, 255)).max() <= 3


TURNS = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_exif_orientation_is_applied(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    decoded = decode(encoded(Image.fromarray(COLOURS), kind, exif=exif, **options))
    assert np.array_equal(decoded, TURNS[orientation](COLOURS))


def test_a_turned_jpeg_has_its_sides_swapped() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(encoded(Image.fromarray(COLOURS), "JPEG", exif=exif)).shape == (8, 6, 3)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, on the damaged block
def test_damaged_exif_does_not_lose_the_picture() -> None:
    content = encoded(Image.fromarray(COLOURS), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert np.array_equal(decode(content), COLOURS)


def test_large_jpeg_is_decoded_at_a_fraction() -> None:
    content = encoded(Image.new("RGB", (4200, 2100), (200, 100, 50)), "JPEG")
    assert decode(content).shape == (1050, 2100, 3)
    assert decode(encoded(Image.new("RGB", (4200, 2000), (200, 100, 50)), "JPEG")).shape == (2000, 4200, 3)


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    content = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert decode(content)[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_a_cut_file_is_truncated_wherever_it_is_cut(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    content = encoded(Image.fromarray(noise), kind)
    for length in range(30, len(content) - 20, len(content) // 50):
        with pytest.raises(BadPictureError, match=r"^truncated$"):
            decode(content[:length])


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_damage_gives_a_picture_or_a_reason_and_nothing_else(kind: str) -> None:
    chance = random.Random(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(Image.fromarray(COLOURS).convert("P" if kind == "BMP" else "RGB"), kind, exif=exif)
    reasons = set()
    for _ in range(400):
        damaged = bytearray(content)
        for _ in range(chance.choice((1, 3, 10))):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            assert decode(bytes(damaged)).dtype == np.uint8
        except BadPictureError as error:
            reasons.add(error.reason.partition(":")[0])
    assert reasons <= {"truncated", "broken", "too many pixels", "not a picture (JPEG, PNG, WebP or BMP)"}
    assert "truncated" in reasons or "broken" in reasons


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP", "JPEG"])
def test_size_is_checked_before_decoding(kind: str) -> None:
    content = encoded(Image.new("L" if kind != "WEBP" else "RGB", (2000, 1500)), kind)
    with pytest.raises(BadPictureError, match="too many pixels: 2000 x 1500, at most 2999999 are read"):
        decode(content, limits=Limits(max_pixels=2_999_999))


def test_decompression_bomb_costs_nothing() -> None:
    """A file of a few hundred bytes that says it has 60000 x 60000 pixels."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    content = (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + b"IHDR"
        + header
        + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    )
    content += struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    with pytest.raises(BadPictureError, match="too many pixels: 60000 x 60000"):
        decode(content)


def test_too_many_bytes(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(encoded(Image.fromarray(RAMP), "PNG"))
    for source in (file, file.read_bytes()):
        with pytest.raises(BadPictureError, match=r"too many bytes: \d+, at most 20 are read"):
            decode(source, limits=Limits(max_bytes=20))


def test_wrong_channels_and_missing_file() -> None:
    with pytest.raises(ValueError, match=r"channels must be 1 \(grey\), 3 \(RGB\) or None .* got 4"):
        decode(b"", channels=4)
    with pytest.raises(FileNotFoundError):
        decode("no/such/file.png")


def test_text_in_a_png_does_not_matter() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "x" * 1000, zip=True)
    assert np.array_equal(decode(encoded(Image.fromarray(COLOURS), "PNG", pnginfo=text)), COLOURS)


def test_predicting_needs_no_torch() -> None:
    code = (
        "import sys, io, numpy, PIL.Image; import featherweight.data as data; f = io.BytesIO();"
        "PIL.Image.new('RGB', (9, 9)).save(f, 'PNG');"
        "p = data.Preprocessing(resolution=4, channels=3, mean=(0.5,) * 3, std=(0.5,) * 3);"
        "assert p.normalize(p.read(f.getvalue())).shape == (3, 4, 4);"
        "assert data.decode(f.getvalue()).shape == (9, 9, 1);"
        "assert 'torch' not in sys.modules and 'sklearn' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
