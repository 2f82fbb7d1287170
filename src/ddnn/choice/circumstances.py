"""Where and how nets were measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ddnn.profiles.profile import Condition


@dataclass(frozen=True)
class Circumstances:
    """Where and how nets were measured.

    Args:
        source: the run, network or export.
        condition: how the nets were run.
        device_name: on what.
        software: versions, by the names of the packages.
        date: when, in UTC.
        profile: the file that the times come from; None if they were measured just now.
        accuracy_of: on what the accuracies were measured.
        caveats: in what they were measured otherwise than the times.
    """

    source: str
    condition: Condition
    device_name: str
    software: Mapping[str, str]
    date: str
    profile: str | None
    accuracy_of: str
    caveats: Sequence[str] = ()
