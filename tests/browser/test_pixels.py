"""The scripts of a page read a picture to the very numbers that Python reads; nothing of onnxruntime is needed here."""

import base64
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from ddnn_runtime import DataSpec
from ddnn_runtime.pixels import read_image
from ddnn_runtime.reading import BEFORE, Reading
from tests.browser.places import Folder, a_browser, hosted

RNG = np.random.default_rng(0)
PAD, SQUEEZE = Reading(resize="pad", background=(200, 30, 60)), Reading(resize="squeeze")

READ = """async ([names, spec]) => {
  const read = {};
  for (const name of names) {
    const file = await (await fetch(name)).blob();
    const bytes = new Uint8Array((await ddnnPixels.prepared(file, spec)).buffer);
    read[name] = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  }
  return read;
}"""


def rgb(height: int, width: int, channels: int = 3) -> np.ndarray:
    """Something between noise, which JPEG makes grey, and a gradient, which hides mistakes."""
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [127 + 90 * np.sin(rows / (3 + c) + columns / (7 - c)) for c in range(channels)]
    return np.clip(np.stack(waves, -1) + RNG.normal(0, 20, (height, width, channels)), 0, 255).astype(np.uint8)


def draw(folder: Path) -> None:
    """Pictures of each kind that a browser may see otherwise than Pillow does."""
    picture = Image.fromarray(rgb(99, 149))
    picture.save(folder / "rgb.png")
    picture.save(folder / "fine.jpg", quality=92, subsampling=0)
    picture.save(folder / "coarse.jpg", quality=70, subsampling=2)
    picture.save(folder / "progressive.jpg", quality=80, subsampling=1, progressive=True)
    picture.save(folder / "lossy.webp", quality=80)
    picture.convert("L").save(folder / "grey.jpg")
    picture.convert("L").save(folder / "grey.png")
    picture.quantize(50).save(folder / "palette.png")
    picture.quantize(50).save(folder / "palette.gif", transparency=3)
    picture.save(folder / "rgb.bmp")
    Image.fromarray(RNG.integers(0, 65536, (60, 50), dtype=np.uint16)).save(folder / "sixteen.png")
    Image.fromarray(rgb(61, 47, 4)).save(folder / "alpha.png")
    Image.fromarray(rgb(61, 47, 4)).save(folder / "alpha.webp", lossless=True, exact=True)
    Image.fromarray(rgb(64, 47, 2)).save(folder / "grey-alpha.png")
    Image.fromarray(rgb(500, 390)).save(folder / "large.png")
    Image.fromarray(rgb(3, 5)).save(folder / "small.png")
    Image.fromarray(rgb(1, 9000)).save(folder / "strip.png")
    Image.fromarray(rgb(9000, 3)).save(folder / "tall.png")
    for way in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = way
        for ending in ("jpg", "png", "webp"):
            Image.fromarray(rgb(40, 61)).save(folder / f"way{way}.{ending}", exif=exif)
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="6"/></x:xmpmeta>'
    picture.save(folder / "xmp.jpg", xmp=xmp)
    (folder / "no-image.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    (folder / "index.html").write_text(
        '<!doctype html><link rel="icon" href="data:,"><script src="pixels.js"></script>'
    )
    shutil.copy(str(files("ddnn_runtime.serving") / "page" / "pixels.js"), folder)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Folder]]:
    folder = tmp_path_factory.mktemp("pictures")
    draw(folder)
    with hosted(folder) as found:
        yield folder, found


@pytest.fixture(scope="module")
def page(pictures: tuple[Path, Folder]) -> Iterator[Any]:
    with a_browser() as browser:
        page = browser.new_page()
        page.goto(pictures[1].url)
        yield page


def spec_of(size: tuple[int, int], channels: int, reading: Reading) -> DataSpec:
    return DataSpec(channels, size, (0.48, 0.45, 0.4)[:channels], (0.22, 0.23, 0.25)[:channels], ("a", "b"), reading)


def differences(page: Any, paths: list[Path], spec: DataSpec) -> dict[str, float]:
    """The pictures that a browser reads otherwise than Python does, and by how much."""
    found = {}
    for name, numbers in page.evaluate(READ, [[path.name for path in paths], asdict(spec)]).items():
        read = np.frombuffer(base64.b64decode(numbers), np.float32).reshape(spec.input_shape)
        (path,) = (path for path in paths if path.name == name)
        if (apart := float(np.abs(read - read_image(path, spec)).max())) > 1e-6:
            found[name] = apart
    return found


def images(folder: Path) -> list[Path]:
    return [
        path for path in sorted(folder.iterdir()) if path.suffix not in (".html", ".js") and path.stem != "no-image"
    ]


@pytest.mark.parametrize(
    ("reading", "channels"),
    [(Reading(), 3), (Reading(), 1), (PAD, 3), (SQUEEZE, 1), (BEFORE, 3)],
    ids=["crop", "crop-grey", "pad", "squeeze-grey", "before"],
)
def test_a_browser_reads_what_python_reads(
    pictures: tuple[Path, Folder], page: Any, channels: int, reading: Reading
) -> None:
    paths = images(pictures[0])
    if reading is BEFORE:  # which shows what lies below transparent pixels, and browsers forget that of a GIF
        paths = [path for path in paths if path.suffix != ".gif"]
    assert differences(page, paths, spec_of((32, 32), channels, reading)) == {}


def test_a_browser_resizes_as_python_does(pictures: tuple[Path, Folder], page: Any) -> None:
    """To sizes above what is held in memory, which get a margin; shrunk, enlarged, and of proportions far from any."""
    paths = [pictures[0] / f"{name}.png" for name in ("large", "small", "strip", "tall", "rgb")]
    for reading in (Reading(), PAD, SQUEEZE):
        assert differences(page, paths, spec_of((224, 160), 3, reading)) == {}


def test_pictures_that_are_turned_are_tried_in_all_eight_ways(pictures: tuple[Path, Folder]) -> None:
    """Those that lie on their side must come out upright, or the test above would show little."""
    path = pictures[0] / "way6.jpg"
    with Image.open(path) as image:
        assert ImageOps.exif_transpose(image).size == image.size[::-1]


def test_what_a_browser_cannot_read_is_refused(pictures: tuple[Path, Folder], page: Any) -> None:
    usual = spec_of((32, 32), 1, Reading())
    deep = replace(usual, reading=Reading(levels=(0, 4095)))
    for name, spec, message in (
        ("no-image.png", usual, "no image that this browser can read"),
        ("sixteen.png", deep, "black and white at 0 and 4095"),
        ("rgb.png", usual.allowing(100), "more than the 100 pixels"),
    ):
        with pytest.raises(Exception, match=message):
            page.evaluate(READ, [[name], asdict(spec)])
