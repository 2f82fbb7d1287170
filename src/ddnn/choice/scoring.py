"""How accurate the nets of a network are, where nobody has written it down."""

from pathlib import Path

from ddnn.choice.images import wanted
from ddnn.config import ChooseConfig
from ddnn.measuring.evaluation import evaluate
from ddnn.profiles.network_subject import NetworkSubject
from ddnn.profiles.subject import Accuracies, Subject
from ddnn.runs.data_of_run import open_images


def score(subject: Subject, run: Path, config: ChooseConfig) -> Accuracies:
    """Score all nets on test images: those of the data that was asked for, or of the run's own.

    Raises:
        DDNNError: if neither is known.
    """
    assert isinstance(subject, NetworkSubject)
    chosen = wanted(run, config)
    device = next(subject.network.parameters()).device
    scores = evaluate(subject.network, open_images(subject.network, chosen).test(device))
    return Accuracies({name: each.accuracy for name, each in scores.items()}, f"test images of {chosen.data}")
