"""`ddnn web` writes a folder that has all that a browser needs, or nothing; what it holds is tried in tests/browser."""

import base64
import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import ddnn
from ddnn.cli import main
from ddnn.deployment.ort_web import FILES, VERSION
from ddnn_runtime.data_spec import DataSpec
from ddnn_runtime.manifest import File, Manifest, Net

SPEC = DataSpec(1, (8, 8), (0.3,), (0.4,), ("a", "b"))


def an_export(folder: Path, files: Mapping[str, bytes], **fields: Any) -> Path:
    """An export with graphs that nobody opens."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    nets = {
        name.removesuffix(".onnx"): Net(File.of(folder, name), (1,), 1, 1) for name in files if name.endswith(".onnx")
    }
    given = {"data": SPEC, "input_shape": (1, 8, 8), **fields}
    (folder / "export.json").write_text(Manifest(full=list(nets)[-1], nets=nets, num_classes=2, **given).to_json())
    return folder


@pytest.fixture
def export(tmp_path: Path) -> Path:
    files = {"small.onnx": b"small", "large.onnx": b"large graph", "weights.bin": b"weights of both"}
    folder = an_export(tmp_path / "export", files)
    manifest = Manifest.read(folder)
    text = Manifest(**{**vars(manifest), "weights": File.of(folder, "weights.bin")}).to_json()
    (folder / "export.json").write_text(text)
    return folder


@pytest.fixture
def ort(tmp_path: Path) -> Path:
    """A package as npm unpacks it."""
    (tmp_path / "package" / "dist").mkdir(parents=True)
    for name in FILES:
        (tmp_path / "package" / "dist" / name).write_text(name)
    return tmp_path / "package"


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


PAGE = {"index.html", "page.css", "page.js", "pixels.js", "browser.js", "site.json"}
EXPORT = {"export/export.json", "export/weights.bin", "export/small.onnx", "export/large.onnx"}


def test_a_site_has_the_page_and_the_export(export: Path, tmp_path: Path) -> None:
    site = ddnn.web(export, tmp_path / "site")
    assert files_in(site.output) == PAGE | EXPORT
    for name in EXPORT:
        assert (site.output / name).read_bytes() == (tmp_path / name).read_bytes()
    assert (site.nets, site.bytes, site.full_net_bytes) == (("small", "large"), 15 + 5 + 11, 15 + 11)
    engines = json.loads((site.output / "site.json").read_text())["engines"]
    addresses = {part["address"] for pair in engines.values() for part in pair.values()}
    assert addresses == {f"https://cdn.jsdelivr.net/npm/onnxruntime-web@{VERSION}/dist/{name}" for name in FILES}
    assert "connect-src 'self' https://cdn.jsdelivr.net;" in (site.output / "index.html").read_text()


def test_a_site_may_have_onnxruntime_itself(export: Path, ort: Path, tmp_path: Path) -> None:
    site = ddnn.web(export, tmp_path / "site", ort=str(ort))
    assert files_in(site.output) == PAGE | EXPORT | {f"ort/{name}" for name in FILES}
    engines = json.loads((site.output / "site.json").read_text())["engines"]
    for part in (part for pair in engines.values() for part in pair.values()):
        digest = hashlib.sha384((site.output / part["address"]).read_bytes()).digest()
        assert part["integrity"] == f"sha384-{base64.b64encode(digest).decode()}"
    assert "connect-src 'self';" in (site.output / "index.html").read_text()


def test_a_site_may_take_onnxruntime_from_a_server(export: Path, tmp_path: Path) -> None:
    site = ddnn.web(export, tmp_path / "site", ort="https://example.org:8443/ort/")
    assert "connect-src 'self' https://example.org:8443;" in (site.output / "index.html").read_text()
    engines = json.loads((site.output / "site.json").read_text())["engines"]
    assert engines["wasm"]["binary"]["address"] == f"https://example.org:8443/ort/{FILES[1]}"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "torch"}, "export with --format onnx"),
        ({"data": None}, "--mean and --std"),
        (
            {"data": DataSpec(4, (8, 8), (0.3,) * 4, (0.4,) * 4, ("a", "b")), "input_shape": (4, 8, 8)},
            "a browser reads 1 or 3",
        ),
    ],
)
def test_what_no_browser_runs_is_refused(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    folder = an_export(tmp_path / "export", {"net.onnx": b"net"}, **fields)
    with pytest.raises(ddnn.DDNNError, match=message):
        ddnn.web(folder, tmp_path / "site")
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    ("ort", "message"),
    [
        ("nowhere", "it lacks ort.wasm.bundle.min.mjs"),
        ("https://example.org/'; script-src *", "no address that a page can load from"),
        ("ftp://example.org/ort", "no address that a page can load from"),
    ],
)
def test_what_is_no_onnxruntime_is_refused(export: Path, tmp_path: Path, ort: str, message: str) -> None:
    with pytest.raises(ddnn.DDNNError, match=message):
        ddnn.web(export, tmp_path / "site", ort=ort)


def test_nothing_is_overwritten(export: Path, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "mine").write_text("mine")
    with pytest.raises(ddnn.DDNNError, match="exists already"):
        ddnn.web(export, tmp_path / "site")
    assert files_in(tmp_path / "site") == {"mine"}


def test_a_site_that_cannot_be_finished_is_not_begun(
    export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        ddnn.web(export, tmp_path / "site")
    assert {path.name for path in tmp_path.iterdir()} == {"export"}


def test_the_command(export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["web", str(export), "--output", str(tmp_path / "site"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["nets"] == ["small", "large"]
    assert main(["web", str(export), "--output", str(tmp_path / "other")]) == 0
    assert "a page for small, large" in capsys.readouterr().out
    assert main(["web", str(tmp_path), "--output", str(tmp_path / "third")]) == 1
    assert "holds no export" in capsys.readouterr().err
