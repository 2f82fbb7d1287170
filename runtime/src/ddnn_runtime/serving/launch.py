"""What `ddnn serve` and `ddnn-serve` do; without the extra `serve`, they say what is missing."""

import json
from pathlib import Path

from ddnn_runtime.errors import DDNNError
from ddnn_runtime.serving.log import say
from ddnn_runtime.serving.settings import ServeConfig

_HERE = ("127.", "::1", "localhost")


def launch(export: str | Path, config: ServeConfig, as_json: bool = False) -> int:
    """Serve an export until a signal ends it; gives the exit status, 0 after SIGTERM and 130 after Ctrl-C.

    The first line of standard output names the address, once requests are answered there: as a sentence, or as JSON.

    Args:
        export: what `ddnn export RUN --format onnx` wrote.
        config: how.
        as_json: write `{"url": ...}`.

    Raises:
        DDNNError: it cannot be served, or something is not installed.
    """
    try:
        from ddnn_runtime.serving.serve import serve
    except ModuleNotFoundError as error:
        raise DDNNError(f"{error.name} is not installed: pip install 'ddnn-runtime[serve]'") from None

    def tell(name: str, url: str) -> None:
        print(json.dumps({"url": url}) if as_json else f"{name} is served at {url}; Ctrl-C ends it", flush=True)
        if not config.host.startswith(_HERE) and config.api_key is None and config.api_key_file is None:
            say("anybody who reaches this address may ask: give --api_key_file to let in those who have a key")

    return serve(Path(export), config, tell)
