"""Runs the generator's process, and what it found in figures."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from ddnn.errors import DDNNError
from load.generator import Asked, Job
from load.servers import HERE, Server, pin

_runs = count()


@dataclass(frozen=True)
class Clients:
    """All who ask.

    Args:
        images: a folder of files; sorted, they go with `labels`.
        labels: the class of each; empty where they are not known.
        cores: of the generator.
        deadline_ms: of each request.
        give_up: seconds after which a client hangs up.
        scratch: a folder.
    """

    images: Path
    labels: Sequence[int]
    cores: set[int]
    deadline_ms: float
    give_up: float
    scratch: Path

    def ask(
        self,
        server: Server,
        times: Sequence[float],
        headers: dict[str, str] | None = None,
        *,
        images: Path | None = None,
        every: tuple[float, Callable[[], None]] | None = None,
    ) -> "Found":
        """Open loop.

        Args:
            server: whom.
            times: when.
            headers: of each request, beside the deadline.
            images: other files than usual, with the same labels.
            every: so many seconds, meanwhile, call something.
        """
        wanted = {"X-Deadline-Ms": f"{self.deadline_ms:g}", **(headers or {})}
        return self._run(replace(self._job(server, wanted, images), times=list(times)), every)

    def carried(
        self, server: Server, seconds: float, headers: dict[str, str] | None = None, *, images: Path | None = None
    ) -> float:
        """Answers a second when 32 clients ask again as soon as they are answered, without a deadline."""
        found = self._run(replace(self._job(server, headers or {}, images), clients=32, seconds=seconds))
        done = [asked.done for asked in found.asked if asked.status == 200 and seconds / 5 < asked.done <= seconds]
        if not done:
            raise DDNNError(f"the server does not answer: {found.statuses}")
        return len(done) / (0.8 * seconds)  # the first fifth is for warming up

    def _job(self, server: Server, headers: dict[str, str], images: Path | None) -> Job:
        number = next(_runs)
        output = self.scratch / f"{number}.json"
        folder = str(images or self.images)
        return Job("127.0.0.1", server.port, server.path, folder, headers, f"{number}-", self.give_up, str(output))

    def _run(self, job: Job, every: tuple[float, Callable[[], None]] | None = None) -> "Found":
        path = Path(job.output).with_suffix(".job")
        path.write_text(json.dumps(asdict(job)), encoding="utf-8")
        with subprocess.Popen([sys.executable, str(HERE / "generator.py"), str(path)]) as process:
            pin(process.pid, self.cores)
            seconds, call = every or (1.0, lambda: None)
            while process.poll() is None:
                try:
                    process.wait(seconds)
                except subprocess.TimeoutExpired:
                    call()
        if process.returncode:
            raise DDNNError("the generator failed; what it said stands above")
        result = json.loads(Path(job.output).read_text(encoding="utf-8"))
        for file in (path, Path(job.output)):
            file.unlink()
        result["asked"] = [Asked(**asked) for asked in result["asked"]]
        return Found(**result, deadline=self.deadline_ms / 1e3, labels=self.labels)


@dataclass
class Found:
    """What became of the requests of one run.

    Args:
        asked: each request.
        strays: answers that nobody had asked for.
        connections: that were opened.
        cpu: share of a core that the clients took.
        deadline: in seconds.
        labels: of the images; empty where they are not known.
    """

    asked: list[Asked]
    strays: int
    connections: int
    cpu: float
    deadline: float
    labels: Sequence[int] = field(default_factory=tuple)

    @property
    def statuses(self) -> dict[int, int]:
        """How many had each."""
        return dict(sorted(Counter(asked.status for asked in self.asked).items()))

    @property
    def in_time(self) -> list[Asked]:
        """Those that were answered before the deadline."""
        return [asked for asked in self.asked if asked.status == 200 and asked.done - asked.due <= self.deadline]

    @property
    def attained(self) -> float:
        """Share that was answered in time."""
        return len(self.in_time) / len(self.asked)

    @property
    def lag(self) -> float:
        """Seconds that clients were late themselves, the 99th percentile."""
        return float(np.quantile([asked.sent - asked.due for asked in self.asked], 0.99))

    def ids(self) -> list[int]:
        """The server's numbers of all answers that have one."""
        return [asked.answer["id"] for asked in self.asked if asked.answer and "id" in asked.answer]

    def wrong(self) -> int:
        """Answers that belong to somebody else, came twice, or that nobody asked for."""
        others = sum(asked.own is False for asked in self.asked)
        return others + self.strays + len(self.ids()) - len(set(self.ids()))

    def right(self) -> float | None:
        """Share of the answers in time that name the label; None where labels are not known."""
        if not self.labels or not self.in_time:
            return None
        return float(np.mean([_class(asked) == self.labels[asked.image] for asked in self.in_time]))

    def expected(self, accuracies: dict[str, float], otherwise: str) -> float | None:
        """Mean accuracy of the nets that answered in time; those that do not name one are `otherwise`."""
        known = [accuracies[(asked.answer or {}).get("subnet", otherwise)] for asked in self.in_time]
        return float(np.mean(known)) if known else None

    def shares(self, names: Sequence[str]) -> dict[str, float]:
        """Of each net, among all answers that name theirs."""
        nets = Counter(asked.answer["subnet"] for asked in self.asked if asked.answer and "subnet" in asked.answer)
        return {name: nets[name] / nets.total() if nets else 0.0 for name in names}

    def latency_ms(self, share: float) -> float:
        """From due to answered, a quantile of those that were answered; inf where none was."""
        taken = [asked.done - asked.due for asked in self.asked if asked.status == 200]
        return 1e3 * float(np.quantile(taken, share)) if taken else float("inf")

    def mean_of(self, key: str) -> float | None:
        """Of what the server says, such as `waited_ms` or `batch`; None where it does not."""
        said = [asked.answer[key] for asked in self.asked if asked.answer and key in asked.answer]
        return float(np.mean(said)) if said else None


def _class(asked: Asked) -> Any:
    answer = asked.answer or {}
    return answer["predictions"][0]["class"] if "predictions" in answer else answer.get("class")
