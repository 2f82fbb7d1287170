"""What the nets of a network cost on a device: time, memory, size, and what accuracy that buys.

A profile is made where the nets will run, and can be read elsewhere. `profile` says what a net costs under which
condition: `subject` is what is measured, and `opening` finds it at a path; `conditions` are how it is run, by an engine
(`ddnn.engines`); `measure` puts them together, `memory` and `probe` look at one net in a process of its own, `reading`
takes a profile from another machine, and `report` writes one down.

Nothing that an export needs imports torch.
"""

from ddnn.profiles.measure import profile
from ddnn.profiles.profile import Condition, Profile
from ddnn.profiles.reading import read_profile

__all__ = ["Condition", "Profile", "profile", "read_profile"]
