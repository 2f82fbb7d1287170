"""Read a profile that may have come from anywhere: what is not as `ddnn profile` writes it is refused."""

from pathlib import Path

from ddnn.errors import ModelFileError
from ddnn.profiles.profile import FORMAT, KIND, PROFILE, Profile
from ddnn_runtime.documents import read_document


def read_profile(path: Path) -> Profile:
    """Read a profile.

    Args:
        path: the file, or its folder.

    Raises:
        ModelFileError: if it is missing, damaged, or something else.
    """
    path = path / PROFILE if path.is_dir() else path
    if not path.is_file():
        raise ModelFileError(f"{path} is missing; make a profile with `ddnn profile RUN`, or copy one here")
    return read_document(
        path,
        Profile,
        header={"kind": KIND, "format": FORMAT},
        fix="copy it again, or make a new one with `ddnn profile RUN`",
        closed=False,
    )
