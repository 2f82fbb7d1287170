"""Try one depth that was not trained: calibrate it, score it, and time it against the full net.

Nothing is guessed from its neighbours. Each depth starts from the trained network alone, so what is found of it does
not depend on what was tried before.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from ddnn.choice.images import Images
from ddnn.choice.space import Depth, NoSuchDepth, name_of
from ddnn.comparison.methods import cut_out
from ddnn.errors import DDNNError
from ddnn.measuring.evaluation import Score, evaluate
from ddnn.network import DepthDynamicNetwork
from ddnn.profiles import memory
from ddnn.profiles.network_subject import NetworkSubject
from ddnn.profiles.profile import Condition
from ddnn_runtime.latency import Latency, Work, interleaved_for, latencies


@dataclass(frozen=True)
class Found:
    """What was found of a depth.

    Args:
        name: of the net.
        depth: blocks per stage.
        accuracy: on the images that decide, in [0, 1].
        images: how many those are.
        ratio: its time over the full net's in the same turns.
        memory_mb: of a process that loads and runs it; None where that is not asked for or not known.
        trained: or calibrated only.
    """

    name: str
    depth: Depth
    accuracy: float
    images: int
    ratio: float
    memory_mb: float | None
    trained: bool


class Bench:
    """Where depths are tried.

    Args:
        subject: the trained network.
        images: to calibrate and to score with.
        condition: how nets are run.
        seconds: for the times of each depth.
        with_memory: find out the memory too.
        workspace: a folder for what is written for the occasion.

    Attributes:
        network: the trained network, which is left as it is.
    """

    def __init__(
        self,
        subject: NetworkSubject,
        images: Images,
        condition: Condition,
        seconds: float,
        with_memory: bool,
        workspace: Path,
    ) -> None:
        self._subject, self._images = subject, images
        self.network: DepthDynamicNetwork = subject.network
        self._condition, self._seconds = condition, seconds
        self._with_memory, self._workspace = with_memory, workspace

    def trained(self) -> list[Found]:
        """What there is of the trained nets, shallow to deep."""
        scores, times = evaluate(self.network, self._images.scoring), self.times(())
        return [
            Found(
                name,
                self.network.depths[name],
                scores[name].accuracy,
                scores[name].images,
                times[name].ratio,
                self._memory(self._subject, name),
                trained=True,
            )
            for name in self.network.names
        ]

    def untrained(self, depth: Depth) -> Found:
        """Try a depth.

        Raises:
            NoSuchDepth: if no net has it.
        """
        name, net = name_of(depth), self._alone(depth, calibrated=True)
        score = evaluate(net, self._images.scoring)[name]
        subject = NetworkSubject(net, self._workspace)
        ratio = self._timed({self._subject.full: self._subject, name: subject}, self._seconds)[name].ratio
        return Found(name, depth, score.accuracy, score.images, ratio, self._memory(subject, name), trained=False)

    def times(self, depths: Sequence[Depth]) -> Mapping[str, Latency]:
        """Times of all trained nets and of some that were not, all of them in turns."""
        others = {name_of(depth): NetworkSubject(self._alone(depth), self._workspace) for depth in depths}
        subjects = {**dict.fromkeys(self.network.names, self._subject), **others}
        return self._timed(subjects, self._seconds * len(subjects) / 2)  # as many turns as one depth has

    def with_depth(self, depth: Depth, *, calibrated: bool = True) -> DepthDynamicNetwork:
        """A copy of the trained network with one depth more.

        Raises:
            NoSuchDepth: if no net has it.
        """
        network = deepcopy(self.network)
        batches = self._images.for_norms if calibrated else None
        try:
            network.add_subnet(name_of(depth), depth, calibrate_with=batches)
        except DDNNError as error:
            raise NoSuchDepth(str(error)) from None
        return network

    def test_scores(self, network: DepthDynamicNetwork) -> dict[str, Score] | None:
        """The scores of all nets of a network on the test images; None where those have decided already."""
        return None if self._images.test is None else evaluate(network, self._images.test)

    def _alone(self, depth: Depth, *, calibrated: bool = False) -> DepthDynamicNetwork:
        """A network of the net of this depth alone; its time does not depend on its statistics."""
        return cut_out(self.with_depth(depth, calibrated=calibrated), name_of(depth)).eval()

    def _timed(self, subjects: Mapping[str, NetworkSubject], seconds: float) -> dict[str, Latency]:
        works: dict[str, Work] = {}
        with ExitStack() as stack:
            for subject in dict.fromkeys(subjects.values()):
                names = [name for name, owner in subjects.items() if owner is subject]
                works |= stack.enter_context(subject.works(self._condition, names))
            taken = interleaved_for(works, seconds, self._subject.wait)
        return latencies(taken, self._subject.full)

    def _memory(self, subject: NetworkSubject, name: str) -> float | None:
        groups = memory.groups(subject, [self._condition], [name]) if self._with_memory else []
        found = [each.peak_mb for group in groups for _, each in memory.measure(subject, group)]
        return found[0] if found else None
