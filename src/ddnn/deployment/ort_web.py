"""Which files of onnxruntime-web a page needs, and where it finds them: on servers of others, with the checksums of the
version that was tested, or in a folder that is copied.

A bundle is a module that finds nothing by itself but its WebAssembly, which the page hands over. So each byte that runs
in a visitor's browser was compared with a checksum before.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ddnn.errors import DDNNError
from ddnn.formats.arguments import path_of

VERSION = "1.30.0"
ENGINES = {
    "wasm": ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"),
    "webgpu": ("ort.webgpu.bundle.min.mjs", "ort-wasm-simd-threaded.asyncify.wasm"),
}
"""The script and the binary of each way to run nets; a page loads one pair."""
FILES = tuple(file for pair in ENGINES.values() for file in pair)

_CDN = f"https://cdn.jsdelivr.net/npm/onnxruntime-web@{VERSION}/dist"
_INTEGRITY = {
    "ort.wasm.bundle.min.mjs": "sha384-PLWz+nHEVHpjwBsO0YVdvQj6n5814Iv8E3b8FG0Rp/uIAtjFMCKOpP66iPzedrIG",
    "ort-wasm-simd-threaded.wasm": "sha384-vjBJ1z7qrhkTyYsNqKeF6c7N+nOJSU94czEo+tvZcu8G75JparGq9kB+kTnEUNVM",
    "ort.webgpu.bundle.min.mjs": "sha384-1ntMeyj+z5diX6vBR5h+zlJBPc4iNvhCxE6nlammh8daBYcLBZkzrwDkuJjhwI+f",
    "ort-wasm-simd-threaded.asyncify.wasm": "sha384-EPVDLTxuO663dkZO/pcKJF6vOyyfq/5z9FY1oksN0UWFX2ABH4wDDZQHeNoUleWR",
}
"""Of the files of `npm pack onnxruntime-web@VERSION`."""
_INSIDE = "ort"
_ADDRESS = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~@%+/-]*)?")


@dataclass(frozen=True)
class OrtWeb:
    """Where a page finds onnxruntime-web.

    Args:
        base: the address of its files, without a slash at the end; relative to the page, or a URL.
        integrity: what each file must be, as in HTML's attribute of that name.
        copied: the folder to copy the files from; None where they stay on another server.
    """

    base: str
    integrity: Mapping[str, str]
    copied: Path | None = None

    @property
    def origin(self) -> str:
        """The server, as a Content-Security-Policy names it; nothing where it is the page's own."""
        parts = urlsplit(self.base)
        return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""

    def engines(self) -> dict[str, Any]:
        """What the page must know, as JSON."""
        return {
            engine: {
                kind: {"address": f"{self.base}/{file}", "integrity": self.integrity[file]}
                for kind, file in zip(("script", "binary"), pair, strict=True)
            }
            for engine, pair in ENGINES.items()
        }


def find(given: str | None) -> OrtWeb:
    """What `--ort` means.

    Args:
        given: a folder, a URL, or None for the default.

    Raises:
        DDNNError: it is neither, or the folder lacks a file.

    >>> find("https://example.org/ort/").origin
    'https://example.org'
    """
    if given is None:
        return OrtWeb(_CDN, _INTEGRITY)
    if "://" in given:
        if not _ADDRESS.fullmatch(given):
            raise DDNNError(f"ort is no address that a page can load from: {given[:200]!r}; give https://HOST/FOLDER")
        return OrtWeb(given.rstrip("/"), _INTEGRITY)
    folder = _folder(path_of(given, "ort"))
    return OrtWeb(_INSIDE, {file: _integrity(folder / file) for file in FILES}, folder)


def _folder(given: Path) -> Path:
    """The folder with the files: the one that is given, or dist/ in it, as npm has it."""
    for folder in (given, given / "dist"):
        if all((folder / file).is_file() for file in FILES):
            return folder
    lacking = [file for file in FILES if not (given / file).is_file()]
    raise DDNNError(
        f"{given} is no folder with onnxruntime-web: it lacks {', '.join(lacking)}; run "
        f"`npm pack onnxruntime-web@{VERSION}`, unpack the archive, and give its folder package/dist"
    )


def _integrity(path: Path) -> str:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha384").digest()
    return f"sha384-{base64.b64encode(digest).decode()}"
