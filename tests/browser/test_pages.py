"""The page of a server, and of a folder that `ddnn web` wrote, in a real browser: one page, with Python's answers."""

import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

import ddnn
from ddnn_runtime import Runtime
from tests.browser.places import a_browser, hosted, onnxruntime_web, served
from tests.browser.visits import Visit
from tests.exports import NAMES, shared_export

pytestmark = pytest.mark.slow  # two of them have run into their limit of two minutes on a busy machine
TIMES = {"resnet8": 2e3, "resnet14": 2e4, "resnet20": 2e5}
"""Milliseconds that the server is told its nets take, so that it is known which one a deadline leaves, whatever the
load of this machine."""


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_export(tmp_path_factory)


@pytest.fixture(scope="module")
def runtime(export: Path) -> Runtime:
    return Runtime(export, threads=1)


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "picture.jpg"
    rows, columns = np.mgrid[0:60, 0:47]
    pixels = np.stack([4 * rows, 5 * columns, 255 - 2 * rows - 2 * columns], -1)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with a_browser() as found:
        yield found


@pytest.fixture(scope="module")
def server(export: Path, runtime: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that believes TIMES."""
    condition = {"runtime": "onnx", "precision": "fp32", "batch_size": 1, "image_size": [32, 32], "threads": 1}
    nets = {name: {"p95_ms": time} for name, time in TIMES.items()}
    profile = tmp_path_factory.mktemp("profile") / "profile.json"
    weights = runtime.manifest.checksum
    measured = [{"condition": condition, "nets": nets}]
    profile.write_text(json.dumps({"kind": "ddnn profile", "format": 1, "weights": weights, "measured": measured}))
    keys = ("--threads", 1, "--profile", profile, "--max_batch", 1, "--max_images", 1)
    with served(export, *keys) as url:
        yield url


@pytest.fixture(scope="module")
def site(export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ddnn.web(export, tmp_path_factory.mktemp("web") / "site", ort=str(onnxruntime_web())).output


@pytest.fixture(scope="module", params=["server", "folder"])
def opened(request: pytest.FixtureRequest, browser: Any) -> Iterator[Visit]:
    visit = Visit(browser.new_page(viewport={"width": 1000, "height": 900}))
    if request.param == "server":
        visit.page.goto(request.getfixturevalue("server"))
        visit.ready()
        yield visit
    else:
        with hosted(request.getfixturevalue("site")) as folder:
            visit.page.goto(folder.url)
            visit.ready()
            assert folder.asked.count("/export/weights.bin") == 1
            yield visit
    visit.page.close()


@pytest.fixture
def visit(opened: Visit) -> Iterator[Visit]:
    opened.complaints.clear()
    yield opened
    assert opened.complaints == []
    assert opened.hosts <= {urlsplit(opened.page.url).netloc, "blob:", "data:"}


def probabilities(runtime: Runtime, picture: Path, name: str) -> np.ndarray:
    (logits,) = runtime(runtime.read(picture), name).astype(np.float64)
    exponentials = np.exp(logits - logits.max())
    return exponentials / exponentials.sum()


def test_answers_are_those_of_python(visit: Visit, runtime: Runtime, picture: Path) -> None:
    visit.upload(picture)
    expected = {name: probabilities(runtime, picture, name) for name in NAMES}
    assert visit.values("Probability") == pytest.approx({name: row.max() for name, row in expected.items()}, abs=1e-4)
    labels = visit.page.locator("#nets .label").all_inner_texts()
    names = runtime.class_names
    assert names is not None
    assert labels == [names[row.argmax()] for row in expected.values()]
    assert visit.values("Test accuracy") == {"resnet8": 0.7, "resnet14": 0.9, "resnet20": 0.8}
    assert all(time > 0 for time in visit.values("Time").values())
    best = expected[visit.chosen()]
    likeliest = [names[place] for place in (-best).argsort()[:3]]
    assert [item.split("\n")[0].split()[0] for item in visit.page.locator("#top li").all_inner_texts()] == likeliest


def test_less_time_means_a_shallower_net(visit: Visit, picture: Path) -> None:
    times = visit.values("Time")
    visit.upload(picture)
    visit.page.locator("#deadline").press("End")
    visit.shows("document.querySelector('tr.chosen')?.dataset.net === 'resnet14'")  # the most accurate one
    assert visit.text("#limit") == "none"
    fast = TIMES if visit.page.evaluate("!globalThis.ddnnBackend") else times
    for share in (0.5, 0.3, 0.7, 0.1):  # of the way between the two; a browser measures anew, so one may be too far
        visit.give_time(lambda limit, share=share: limit > fast["resnet8"] ** (1 - share) * fast["resnet14"] ** share)
        with suppress(Exception):
            visit.page.wait_for_selector("tr.chosen[data-net=resnet8]", timeout=5000)
            break
    assert visit.chosen() == "resnet8"
    assert "by resnet8 in" in visit.text("#by")


def test_a_keyboard_is_enough(visit: Visit, picture: Path) -> None:
    page = visit.page
    page.locator("h1").click()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(picture)
    visit.answered()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "deadline"
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    assert page.locator("#deadline").get_attribute("aria-valuetext") == visit.text("#limit") != "none"


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_sticks_out(visit: Visit, picture: Path, width: int) -> None:
    visit.upload(picture)
    before = visit.page.viewport_size
    visit.page.set_viewport_size({"width": width, "height": 800})
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    visit.page.set_viewport_size(before)


def test_the_chart_counts_answers(visit: Visit, picture: Path) -> None:
    visit.page.locator("#deadline").press("End")
    visit.upload(picture)
    visit.shows("/resnet14: [1-9]/.test(document.getElementById('legend').textContent)")
    assert visit.page.locator("#chart rect").count() > 0
    assert "resnet14" in visit.page.locator("#chart").get_attribute("aria-label")


def test_an_image_is_dropped_or_pasted(visit: Visit, runtime: Runtime, picture: Path) -> None:
    give = """([event, bytes]) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array(bytes)], `${event}ed.jpg`, { type: "image/jpeg" }));
        const kind = event === "paste" ? ClipboardEvent : DragEvent;
        const key = event === "paste" ? "clipboardData" : "dataTransfer";
        dispatchEvent(new kind(event, { [key]: transfer, cancelable: true }));
    }"""
    for event in ("drop", "paste"):
        visit.page.evaluate(give, [event, list(picture.read_bytes())])
        visit.shows("document.getElementById('hint').textContent === `${a}ed.jpg`", event)
        visit.answered()
    assert visit.values("Probability")["resnet8"] == pytest.approx(
        probabilities(runtime, picture, "resnet8").max(), abs=1e-4
    )


def test_what_is_no_image_is_said(opened: Visit, picture: Path, tmp_path: Path) -> None:
    """A server's refusal is on the console too: a browser writes there what has a status of 400 or more."""
    text = tmp_path / "text.txt"
    text.write_text("no image")
    opened.page.set_input_files("#file", text)
    opened.shows("/no image|not an image/.test(document.getElementById('message').textContent)")
    assert opened.page.locator("#message").is_visible()
    opened.upload(picture)
    assert not opened.page.locator("#message").is_visible()


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (None, "The server does not answer"),
        (429, "The queue is full; try again in 7 s."),
        (503, "The queue is full; try again in 7 s."),
        (401, "reload the page to give the key"),
    ],
)
def test_what_goes_wrong_on_the_way_is_said(
    browser: Any, server: str, picture: Path, status: int | None, message: str
) -> None:
    visit = Visit(browser.new_page())
    body = {"headers": {"Retry-After": "7"}} if status in (429, 503) else {}
    answer = {"status": status, "json": {"error": "the queue is full"}, **body}
    visit.page.goto(server)
    visit.ready()
    visit.page.route("**/predict", lambda route: route.fulfill(**answer) if status else route.abort())
    visit.page.set_input_files("#file", picture)
    visit.shows("document.getElementById('message').textContent.includes(a)", message)
    visit.page.unroute("**/predict")
    if status != 401:
        visit.page.get_by_role("button", name="Try again").click()
        visit.answered()
        assert not visit.page.locator("#message").is_visible()
    visit.page.close()


def test_a_deadline_that_cannot_be_met_is_no_failure(browser: Any, server: str, picture: Path) -> None:
    visit = Visit(browser.new_page())
    visit.page.goto(server)
    visit.ready()
    visit.page.locator("#deadline").press("Home")
    visit.page.set_input_files("#file", picture)
    visit.shows("document.getElementById('said').textContent === 'No answer'")
    assert "2e+03 ms at least" in visit.text("#by")
    assert not visit.page.locator("#message").is_visible()
    visit.page.close()


def test_damaged_weights_are_refused(browser: Any, site: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(site, tmp_path / "site", ignore=shutil.ignore_patterns("ort"))
    weights = copy / "export" / "weights.bin"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    visit = Visit(browser.new_page())
    with hosted(copy) as folder:
        visit.page.goto(folder.url)
        visit.shows("document.getElementById('message').textContent.includes('weights.bin')")
        assert "another file than this page was made with" in visit.text("#message")
        visit.page.close()
