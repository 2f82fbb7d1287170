"""`ddnn-serve EXPORT`, or `python -m ddnn_runtime.serving EXPORT`: the server on a device, without ddnn."""

import sys
from collections.abc import Sequence

from ddnn_runtime.errors import DDNNError
from ddnn_runtime.serving.launch import launch
from ddnn_runtime.serving.settings import ServeConfig


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve an export; gives the exit status: 0 after SIGTERM, 1 for what could not be done, 2 for what could not be
    understood, 130 for Ctrl-C."""
    try:
        from ddnn_runtime.command_line import Parser, with_underscores
    except ModuleNotFoundError as error:
        print(f"ddnn-serve: error: {error.name} is not installed: pip install 'ddnn-runtime[serve]'", file=sys.stderr)
        return 1
    try:
        parser = Parser(prog="ddnn-serve", description="An export behind a port: under load, it answers shallower.")
        parser.add_argument("export", help="what `ddnn export` wrote")
        parser.add_class_arguments(ServeConfig)
        parser.add_argument("--json", action="store_true", help="print the address as JSON, and nothing else")
        words = sys.argv[1:] if arguments is None else arguments
        options = parser.parse_args([with_underscores(word) for word in words]).as_dict()
        export, as_json = options.pop("export"), options.pop("json")
        return launch(export, ServeConfig(**options), as_json)
    except DDNNError as error:
        print(f"ddnn-serve: error: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
