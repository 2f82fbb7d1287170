"""Where the real images are that some tests read: outside the repository, and perhaps not on this machine."""

import os
from pathlib import Path

import pytest


def find_data(name: str) -> Path:
    """The folder `name` of the shared data, or skip the test, saying why."""
    places = [parent / "shared" / "data" for parent in Path(__file__).resolve().parents]
    if given := os.environ.get("DDNN_TEST_DATA"):
        places.insert(0, Path(given))
    for place in places:
        if (place / name).is_dir():
            return place / name
    pytest.skip(f"no {name}: set DDNN_TEST_DATA to a folder that holds it")
