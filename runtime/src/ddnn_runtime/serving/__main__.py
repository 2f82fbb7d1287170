"""`ddnn-serve EXPORT`, or `python -m ddnn_runtime.serving EXPORT`: the server on a device, without ddnn."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ddnn_runtime.errors import DDNNError


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve an export; gives the exit status."""
    from jsonargparse import ArgumentParser

    from ddnn_runtime.serving.serve import serve
    from ddnn_runtime.serving.settings import ServeConfig

    parser = ArgumentParser(prog="ddnn-serve")
    parser.add_argument("export", help="what `ddnn export` wrote")
    parser.add_class_arguments(ServeConfig)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments).as_dict()
    export, as_json = options.pop("export"), options.pop("json")
    try:
        return serve(export, ServeConfig(**options), lambda url: tell(export, url, as_json))
    except DDNNError as error:
        print(f"ddnn-serve: error: {error}", file=sys.stderr)
        return error.status


def tell(export: str, url: str, as_json: bool) -> None:
    """The first line of output."""
    name = Path(export).resolve().name
    print(json.dumps({"url": url}) if as_json else f"{name} is served at {url}; Ctrl-C ends it", flush=True)


if __name__ == "__main__":
    sys.exit(main())
