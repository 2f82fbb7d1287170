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
    meant, network = wanted(run, config), subject.network
    device = next(network.parameters()).device
    data = open_images(network, meant.config, classes_from=config.classes_from, whole=meant.whole)
    scores = evaluate(network, data.test(device))
    portion = data.portion("test", seen=scores[network.names[-1]].images)
    return Accuracies({name: each.accuracy for name, each in scores.items()}, str(portion))
