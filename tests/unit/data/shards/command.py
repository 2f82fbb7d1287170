"""`ddnn shards`, in this process."""

from collections.abc import Sequence

from ddnn.cli import main


def shards(arguments: Sequence[str]) -> int:
    """Run it; gives the exit status."""
    return main(["shards", *arguments])
