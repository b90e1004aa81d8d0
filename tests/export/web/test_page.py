"""The page in headless Chromium, on real pictures: its answers are ONNX Runtime's, and it asks nobody else."""

import base64
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images

from featherweight.data import Preprocessing
from featherweight.export import load

TOLERANCE = 1e-4  # of a logit, where both decode to the same pixels: two builds of one runtime
START = "const done = arguments[0]; featherweight.ready.then(network => done(network.labels), e => done(String(e)))"
CLASSIFY = """
const [content, options, done] = arguments, bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0));
featherweight.classify(new Blob([bytes]), options).then(
  ({ logits, milliseconds, pixels }) => done({ logits: [...logits], milliseconds, pixels: [...pixels] }),
  error => done(error.message));
"""
# Strokes as [[[x, y], ...], ...] in shares of the drawing area; ends when the page has shown its answer.
DRAW = """
const [strokes, done] = arguments, pad = document.getElementById("pad"), box = pad.getBoundingClientRect();
const say = (type, [x, y]) => pad.dispatchEvent(new PointerEvent(type, {
  pointerId: 1, clientX: box.left + x * box.width, clientY: box.top + y * box.height }));
pad.setPointerCapture = () => {}; // a pointer that a script invents cannot be held
for (const stroke of strokes) {
  say("pointerdown", stroke[0]);
  stroke.forEach(point => say("pointermove", point));
  say("pointerup", stroke.at(-1));
}
const picture = pad.toDataURL().split(",")[1];
requestAnimationFrame(() => setTimeout(() => featherweight.classify(pad).then(({ logits }) =>
  setTimeout(() => done({ logits: [...logits], picture }), 50)), 50));
"""


def opened(browser: Any, folder: Path) -> None:
    """Open a page as with a double click, and wait until its network is ready."""
    browser.set_script_timeout(120)
    shown_on(browser, 1100)
    browser.get((folder / "index.html").as_uri())
    answer = browser.execute_async_script(START)
    assert isinstance(answer, list), answer


def shown_on(browser: Any, width: int, *, dark: bool = False) -> None:
    screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": scheme})


def classified(browser: Any, content: bytes, **options: int) -> Any:
    return browser.execute_async_script(CLASSIFY, base64.b64encode(content).decode(), options)


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def turned(picture: Image.Image, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(picture, "JPEG", exif=exif)


def with_transparency(picture: Image.Image) -> Image.Image:
    veil = np.random.default_rng(0).integers(0, 256, (picture.height, picture.width), np.uint8)
    return Image.merge(f"{picture.mode}A", (*picture.split(), Image.fromarray(veil)))


def hard_pictures() -> Iterator[tuple[str, bytes, int]]:
    """Give real pictures in many forms, and by how many levels a pixel of each may differ after preparation."""
    photographs = [Image.fromarray(picture) for picture in load_sample_images().images]
    for number, photograph in enumerate(photographs):
        yield f"PNG, photograph {number}", encoded(photograph, "PNG"), 0
        yield f"JPEG, photograph {number}", encoded(photograph, "JPEG"), 1
        yield f"JPEG, turned, photograph {number}", turned(photograph, 6), 1
    odd = photographs[0].crop((203, 105, 400, 262))
    deep = np.asarray(odd.convert("L")).astype(np.uint16) * 257 + 90
    yield "PNG, grey", encoded(odd.convert("L"), "PNG"), 0
    yield "PNG, tall", encoded(photographs[1].crop((200, 0, 261, 427)), "PNG"), 0
    yield "PNG, palette", encoded(odd.quantize(64), "PNG"), 0
    yield "PNG, black and white", encoded(odd.convert("1"), "PNG"), 0
    yield "PNG, transparent", encoded(with_transparency(odd), "PNG"), 1
    yield "PNG, grey, transparent", encoded(with_transparency(odd.convert("L")), "PNG"), 1
    yield "PNG, 16 bits", encoded(Image.fromarray(deep), "PNG"), 1
    yield "BMP", encoded(odd, "BMP"), 0
    yield "WebP", encoded(odd, "WEBP"), 1
    yield "WebP, transparent", encoded(with_transparency(odd), "WEBP", lossless=True), 1
    yield "JPEG, all colours", encoded(odd, "JPEG", subsampling=0), 1
    yield "JPEG, grey, progressive", encoded(odd.convert("L"), "JPEG", progressive=True), 1
    yield "JPEG, mirrored and turned", turned(odd, 5), 1
    yield "JPEG, large", encoded(photographs[0].resize((2600, 2100)), "JPEG"), 2


def test_digits_get_onnx_runtimes_answers(browser: Any, digits_page: Path) -> None:
    opened(browser, digits_page)
    runner = load(digits_page / "model.onnx")
    preprocessing = Preprocessing.from_dict(runner.preprocessing)
    data, right = load_digits(), 0
    for picture, truth in zip(data.images[1400:1420], data.target[1400:1420], strict=True):
        content = encoded(Image.fromarray(np.round(picture * (255 / 16)).astype(np.uint8)), "PNG")
        pixels = preprocessing.read(content)
        expected = runner(preprocessing.normalize(pixels)[np.newaxis])[0]
        answer = classified(browser, content)
        assert answer["pixels"] == pixels.flatten().tolist()
        assert np.abs(expected - answer["logits"]).max() <= TOLERANCE
        assert expected.argmax() == np.argmax(answer["logits"])
        assert 0 < answer["milliseconds"] < 10_000
        right += int(truth == np.argmax(answer["logits"]))
    assert right >= 12


def test_pictures_of_all_kinds_get_onnx_runtimes_answers(browser: Any, parts_page: Path) -> None:
    opened(browser, parts_page)
    runner = load(parts_page / "model.onnx")
    preprocessing = Preprocessing.from_dict(runner.preprocessing)
    for name, content, levels in hard_pictures():
        pixels = preprocessing.read(content)
        answer = classified(browser, content, runs=1)
        assert isinstance(answer, dict), f"{name}: {answer}"
        seen = np.array(answer["pixels"], np.uint8).reshape(pixels.shape)
        assert np.abs(seen.astype(int) - pixels).max() <= levels, name
        given, whole = (runner(preprocessing.normalize(one)[np.newaxis])[0] for one in (seen, pixels))
        assert np.abs(given - answer["logits"]).max() <= TOLERANCE, name
        assert whole.argmax() == np.argmax(answer["logits"]), name


def test_a_drawing_gets_onnx_runtimes_class(browser: Any, digits_page: Path) -> None:
    opened(browser, digits_page)
    runner = load(digits_page / "model.onnx")
    preprocessing = Preprocessing.from_dict(runner.preprocessing)
    one = [[[0.5, 0.1], [0.5, 0.5], [0.5, 0.9]]]
    four = [[[0.7, 0.6], [0.2, 0.6], [0.55, 0.1]], [[0.55, 0.4], [0.5, 0.9]]]
    for strokes in (one, four):
        browser.find_element("css selector", "#clear").click()
        assert browser.find_elements("css selector", "article") == []
        drawn = browser.execute_async_script(DRAW, strokes)
        pixels = preprocessing.read(base64.b64decode(drawn["picture"]))
        assert pixels[0, 0] == 0  # bright on dark, as the digits that it learned from
        assert pixels.max() > 200
        logits = runner(preprocessing.normalize(pixels)[np.newaxis])[0]
        assert np.abs(logits - drawn["logits"]).max() <= TOLERANCE
        assert browser.find_element("css selector", "article h3").text == str(logits.argmax())
        assert len(browser.find_elements("css selector", ".bars li")) == 5
        widths = browser.execute_script(
            "return [...document.querySelectorAll('.bars i')].map(bar => bar.getBoundingClientRect().width)"
        )
        assert widths == sorted(widths, reverse=True)
        assert widths[0] > 0
        assert "ms for the network, measured here" in browser.find_element("css selector", ".time").text


def test_pictures_are_chosen_and_what_is_none_is_said(browser: Any, parts_page: Path, tmp_path: Path) -> None:
    opened(browser, parts_page)
    for name, picture in zip(("china.jpg", "flower.png"), load_sample_images().images, strict=True):
        Image.fromarray(picture).save(tmp_path / name)
    (tmp_path / "letter.txt").write_text("no picture")
    files = [tmp_path / name for name in ("china.jpg", "flower.png", "letter.txt")]
    browser.find_element("css selector", "#files").send_keys("\n".join(map(str, files)))
    wait_until(
        browser, "document.querySelectorAll('article').length === 3 && !!document.querySelector('article.bad h3')"
    )
    told = [card.text for card in browser.find_elements("css selector", "article h3")]
    assert told == ["letter.txt: this is no picture that the browser can read", "flower", "<b>china</b>"]


def test_the_camera(browser: Any, parts_page: Path) -> None:
    opened(browser, parts_page)
    browser.execute_script("document.querySelector('[value=camera]').click(); document.getElementById('film').click()")
    wait_until(browser, "!!document.querySelector('article h3')?.textContent")
    assert browser.find_element("css selector", "#film").text == "Stop the camera"
    browser.find_element("css selector", "#film").click()
    assert browser.execute_script("return document.getElementById('video').srcObject") is None
    browser.execute_script(
        "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotFoundError') }"
    )
    browser.find_element("css selector", "#film").click()
    wait_until(browser, "document.getElementById('status').textContent === 'No camera: there is none'")


def wait_until(browser: Any, condition: str) -> None:
    script = f"const done = arguments[0], look = () => {condition} ? done(true) : setTimeout(look, 20); look();"
    assert browser.execute_async_script(script)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_nothing_is_asked_of_others(browser: Any, digits_page: Path) -> None:
    browser.get_log("performance"), browser.get_log("browser")
    with served(digits_page) as address:
        browser.get(address)
        assert browser.execute_async_script(START) == list("0123456789")
        assert isinstance(classified(browser, encoded(Image.new("L", (9, 9)), "PNG")), dict)
        refused = browser.execute_async_script(
            "const done = arguments[0]; fetch('model.onnx').then(() => done(false), () => done(true))"
        )
    assert refused  # the page forbids itself to send or fetch anything
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requests = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    fetched = {one["request"]["url"] for one in requests if one["documentURL"] == address}
    wanted = ("", "page.css", "model.js", "onnxruntime-web.js", "preprocessing.js", "network.js", "page.js")
    others = {url for url in fetched if not url.startswith(("data:", "blob:"))}
    assert others - {f"{address}model.onnx"} == {address + name for name in wanted}
    complaints = [entry["message"] for entry in browser.get_log("browser")]
    assert all("Content Security Policy" in message for message in complaints)  # of the attempt above


def test_the_page_is_readable_and_never_scrolls_sideways(browser: Any, digits_page: Path) -> None:
    opened(browser, digits_page)
    browser.execute_async_script(DRAW, [[[0.2, 0.2], [0.8, 0.8]]])
    for width, dark in ((320, False), (375, True), (1100, True)):
        shown_on(browser, width, dark=dark)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(20, 24, 27)") == dark
        small = browser.execute_script(
            """return [...document.querySelectorAll('body *')].filter(one => one.childElementCount === 0
                 && one.textContent.trim() && one.offsetParent && parseFloat(getComputedStyle(one).fontSize) < 12)
                 .map(one => one.outerHTML)"""
        )
        assert small == []
    assert browser.get_log("browser") == []
