"""The steps of all nets of a network, and what follows from them: which nets share what, and as far as where.

A net with norms of its own shares with others only as far as it goes with the full net: past that it computes
something else, even where it takes the same steps.
"""

from ddnn.families.family import Step, common_prefix
from ddnn.network.lanes import Plan, plan
from ddnn.network.recent import Recent
from ddnn.network.segments import Segment, segments


class Routes:
    """The steps of each net.

    Args:
        full: name of the full net.
        joint: whether several nets may take a step in one call.
    """

    def __init__(self, full: str, joint: bool) -> None:
        self._full, self._joint = full, joint
        self._steps: dict[str, list[Step]] = {}
        self.private: set[str] = set()
        """The nets with norms of their own."""
        self._forget()

    def __getitem__(self, name: str) -> list[Step]:
        return self._steps[name]

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, name: str, steps: list[Step] | None, private: bool) -> None:
        """Add a net; one that cannot be described as steps is known by its norms alone."""
        if steps is not None:
            self._steps[name] = steps
        if private:
            self.private.add(name)
        self._forget()

    def nearest(self, steps: list[Step], private: bool) -> tuple[str, int]:
        """The net whose modules one with these steps shares, and how many of its first steps."""
        apart = self._steps.keys() - {self._full} if private else self.private
        lengths = {name: common_prefix(steps, own) for name, own in self._steps.items() if name not in apart}
        return max(lengths.items(), key=lambda entry: entry[1])

    def plan(self, names: tuple[str, ...], teaching: tuple[str, ...] = ()) -> Plan:
        """In which turns these nets run together, of which some only teach."""
        return self._plans.get((names, teaching), lambda: self._make_plan(names, teaching))

    def segments(self, names: tuple[str, ...]) -> tuple[Segment, ...]:
        """What these nets, given shallow to deep, consist of, cut where they part."""
        return self._segments.get(names, lambda: self._make_segments(names))

    def _make_plan(self, names: tuple[str, ...], teaching: tuple[str, ...]) -> Plan:
        order = [step.key for step in self._steps[self._full]]
        return plan({name: self._steps[name] for name in names}, order, self._joint, self.private, teaching)

    def _make_segments(self, names: tuple[str, ...]) -> tuple[Segment, ...]:
        full = self._steps[self._full]
        shareable = {name: common_prefix(self._steps[name], full) for name in self.private}
        return segments({name: self._steps[name] for name in names}, shareable)

    def _forget(self) -> None:
        self._plans = Recent[tuple[tuple[str, ...], tuple[str, ...]], Plan]()
        self._segments = Recent[tuple[str, ...], tuple[Segment, ...]]()
