"""An export as a page: a folder that any web server can give out, whose visitors run all depths in their browsers.

The page is that of the server (`ddnn_runtime.serving.page`); two scripts more answer in the server's place.
"""

import os
import shutil
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from ddnn.config import WebConfig, configured
from ddnn.deployment.ort_web import FILES, VERSION, OrtWeb, find
from ddnn.errors import DDNNError
from ddnn.formats.arguments import path_of
from ddnn.formats.staging import check_new, disk_errors, staged, write_text
from ddnn.reporting.tables import to_json
from ddnn_runtime.manifest import MANIFEST, Manifest

_EXPORT = "export"
_SCRIPT = '<script src="page.js" defer></script>'
_MOST = 2**31 - 2**24
"""Bytes of weights; browsers hold no more in one piece."""


@dataclass(frozen=True)
class WebSite:
    """What `web` has written.

    Args:
        output: the folder.
        nets: shallow to deep.
        bytes: what a visitor downloads to run all nets: graphs and weights, without onnxruntime-web.
        full_net_bytes: the same for the full net alone.
        ort: where the page takes onnxruntime-web from: a URL, or a folder in the site.
    """

    output: Path
    nets: tuple[str, ...]
    bytes: int
    full_net_bytes: int
    ort: str

    def to_json(self) -> dict[str, Any]:
        """What `ddnn web --json` prints."""
        return {
            "output": str(self.output),
            "nets": list(self.nets),
            "bytes": self.bytes,
            "full_net_bytes": self.full_net_bytes,
            "ort": self.ort,
        }


def web(
    export: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    config: WebConfig | None = None,
    **keys: Any,
) -> WebSite:
    """Write a folder with a page that runs all nets of an export in the visitor's browser, by onnxruntime-web.

    Args:
        export: what `ddnn export RUN --format onnx` wrote.
        output: a folder that does not exist, which appears when all is written; None means that of the configuration.
        config: where to, and where onnxruntime-web comes from; None means the defaults.
        keys: fields of `ddnn.WebConfig`, in place of the configuration's.

    Raises:
        ModelFileError: there is no export, or it is damaged.
        DDNNError: a browser cannot run it, the folder exists, or a key or value makes no sense.

    Example:
        ```python
        ddnn.web("export", "site")  # then: python -m http.server --directory site
        ```
    """
    path, config = path_of(export, "export"), configured(WebConfig, config, keys)
    directory = path_of(config.output if output is None else output, "output")
    check_new(directory)
    ort = find(None if config.ort is None else os.fspath(config.ort))  # a path passes for a text
    manifest = Manifest.read(path)
    _check(path, manifest)
    with staged(directory) as stage:
        _write_page(stage, ort)
        _copy(path, stage / _EXPORT, _files(manifest))
        if ort.copied is not None:
            _copy(ort.copied, stage / ort.base, FILES)
    own, full = (manifest.weights.bytes if manifest.weights else 0), manifest.nets[manifest.full].graph.bytes
    graphs = sum(net.graph.bytes for net in manifest.nets.values())
    return WebSite(directory, manifest.names, own + graphs, own + full, ort.base)


def _check(path: Path, manifest: Manifest) -> None:
    """Refuse what a browser cannot run, or cannot prepare images for."""
    if manifest.kind != "onnx":
        raise DDNNError(f"{path} holds torch.export programs, which no browser runs; export with --format onnx")
    if manifest.data is None:
        raise DDNNError(
            f"{path} does not say how images are prepared: the network was saved without its data's description; "
            "export again with --mean and --std"
        )
    if manifest.data.channels not in (1, 3):
        raise DDNNError(f"the nets of {path} take images of {manifest.data.channels} channels; a browser reads 1 or 3")
    largest = max(file.bytes for file in manifest.files)
    if largest > _MOST:
        raise DDNNError(f"{path} has a file of {largest / 2**30:.1f} GiB; a browser holds less than 2")


def _files(manifest: Manifest) -> list[str]:
    """What the page loads of an export; the pieces for cascades are not among it."""
    weights = [] if manifest.weights is None else [manifest.weights.file]
    return [MANIFEST, *weights, *(net.graph.file for net in manifest.nets.values())]


def _write_page(stage: Path, ort: OrtWeb) -> None:
    page = files("ddnn_runtime.serving") / "page"
    for name in ("page.css", "page.js", "pixels.js", "browser.js"):
        write_text(stage / name, (page / name).read_text(encoding="utf-8"))
    plain = (page / "index.html").read_text(encoding="utf-8")
    assert plain.count(_SCRIPT) == 1
    scripts = "\n  ".join(_SCRIPT.replace("page.js", name) for name in ("pixels.js", "browser.js", "page.js"))
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_policy(ort)}">'
    write_text(stage / "index.html", plain.replace(_SCRIPT, f"{policy}\n  {scripts}"))
    write_text(stage / "site.json", to_json({"onnxruntime-web": VERSION, "engines": ort.engines()}) + "\n")


def _policy(ort: OrtWeb) -> str:
    """What the page may load and run: nothing but its own, and onnxruntime-web, whose checksums it compares."""
    return (
        "default-src 'none'; script-src 'self' blob: 'wasm-unsafe-eval'; worker-src blob:; style-src 'self'; "
        f"img-src 'self' blob: data:; connect-src 'self' {ort.origin}".rstrip()
        + "; base-uri 'none'; form-action 'none'"
    )


def _copy(source: Path, target: Path, names: list[str] | tuple[str, ...]) -> None:
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        with disk_errors(target / name):
            shutil.copyfile(source / name, target / name)
