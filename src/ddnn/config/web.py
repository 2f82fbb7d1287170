"""How an export becomes a page that runs in a browser."""

from dataclasses import dataclass

from ddnn_runtime.configuration import check, check_types


@dataclass(frozen=True)
class WebConfig:
    """Where the page goes, and where it takes onnxruntime-web from.

    Args:
        output: a folder that does not exist.
        ort: where the page finds onnxruntime-web: a folder with its files, which are copied into the site; or the URL
            of such a folder, with the version that the default has. None means a public network of servers, jsDelivr.
            The page takes only files with the checksums that it was made with.
    """

    output: str = "site"
    ort: str | None = None

    def __post_init__(self) -> None:
        check_types(self)
        check(self.ort != "", "ort is empty; leave it out, or give a folder or a URL")
