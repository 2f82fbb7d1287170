"""`python -m ddnn.data.shards`: what `ddnn shards` does, under the name that it had before; it will go."""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `ddnn shards` with these arguments; gives its exit status."""
    from ddnn.cli import main as ddnn

    print("python -m ddnn.data.shards is called ddnn shards now", file=sys.stderr)
    return ddnn(["shards", *(sys.argv[1:] if arguments is None else arguments)])


if __name__ == "__main__":
    sys.exit(main())
