"""An export behind a port, for those who call it from Python; it lives in `ddnn_runtime.serving`, where devices have it
without ddnn.

Nothing here imports torch.
"""

from pathlib import Path
from typing import Any

from ddnn.config import ServeConfig, configured
from ddnn.formats.arguments import path_of
from ddnn_runtime.serving.launch import launch

__all__ = ["ServeConfig", "serve"]


def serve(export: str | Path, config: ServeConfig | None = None, *, as_json: bool = False, **keys: Any) -> int:
    """Serve an export over HTTP until a signal ends it.

    Args:
        export: what `ddnn export RUN --format onnx` wrote.
        config: how; None means the defaults.
        as_json: write the address as JSON to standard output, rather than as a sentence.
        **keys: fields of the configuration, in place of its own.

    Returns:
        The exit status of the command: 0 after SIGTERM, 130 after Ctrl-C.

    Raises:
        DDNNError: it cannot be served, or something is not installed.

    Example:
        ```python
        ddnn.serve("export", port=8000, deadline_ms=50)
        ```
    """
    return launch(path_of(export, "export"), configured(ServeConfig, config, keys), as_json)
