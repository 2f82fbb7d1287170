"""Makes the pictures of the docs: both pages, with ResNet-8, 14 and 20 trained on digits.

Only when it is asked to, so that tests change nothing: `DDNN_PICTURES=1`.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import ddnn
from tests.browser.places import a_browser, hosted, onnxruntime_web, served
from tests.browser.visits import Visit

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
LOAD = """async (bytes) => {
  const body = new Uint8Array(bytes);
  for (const many of [1, 2, 6, 24, 40, 40, 24, 8, 3, 1]) {
    const headers = { "X-Deadline-Ms": "60" };
    const each = () => fetch("predict", { method: "POST", body, headers }).catch(() => null);
    await Promise.all([new Promise((done) => setTimeout(done, 1000)), ...Array.from({ length: many }, each)]);
  }
}"""
pytestmark = pytest.mark.skipif(
    "DDNN_PICTURES" not in os.environ, reason="DDNN_PICTURES=1 makes the pictures of the docs"
)


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if given := os.environ["DDNN_PICTURES"].removeprefix("1"):
        return Path(given)
    folder = tmp_path_factory.mktemp("digits")
    ddnn.export(ddnn.train(ddnn.TrainConfig(output=str(folder / "run"))), folder / "export")
    return folder / "export"


@pytest.fixture(scope="module")
def digit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("digit") / "five.png"
    pixels = (np.asarray(load_digits().images[5]) * 15.9).astype(np.uint8)
    Image.fromarray(pixels).resize((160, 160), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with a_browser() as found:
        yield found


def test_the_page_of_a_server(browser: Any, export: Path, digit: Path) -> None:
    with served(export) as url:
        visit = opened(browser, url, digit)
        visit.page.evaluate(LOAD, list(digit.read_bytes()))
        visit.page.screenshot(path=PICTURES / "serve-page.png", full_page=True)


def test_the_page_of_a_folder(browser: Any, export: Path, digit: Path, tmp_path: Path) -> None:
    site = ddnn.web(export, tmp_path / "site", ort=str(onnxruntime_web()))
    isolated = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
    with hosted(site.output, isolated) as folder:
        visit = opened(browser, folder.url, digit)
        for place in (*range(20, 95, 5), *range(90, 40, -6), 45):
            visit.page.locator("#deadline").fill(str(place))
            visit.page.wait_for_timeout(400)
        visit.page.screenshot(path=PICTURES / "web-page.png", full_page=True)


def opened(browser: Any, url: str, digit: Path) -> Visit:
    visit = Visit(browser.new_page(viewport={"width": 1000, "height": 800}))
    visit.page.goto(url)
    visit.ready()
    visit.upload(digit)
    return visit
