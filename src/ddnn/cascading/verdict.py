"""In plain words: whether the cascade is cheaper than the best fixed depth at equal accuracy, and by how much."""

from ddnn.cascading.report import Comparison, Report
from ddnn.reporting.tables import percent


def verdict(report: Report) -> str:
    """The answer, with the figures that it stands on; all accuracies are those of the test images."""
    versus, sentences = report.comparison, []
    if len(report.cascade.names) == 1:
        sentences.append(
            f"On the held-out images no cascade of several nets does better than {report.cascade.last} alone, which "
            "therefore answers all images."
        )
        if versus.net == report.cascade.last:
            best = "It is the best fixed depth on the test images too, so at equal accuracy no cascade is cheaper."
            return " ".join([*sentences, best])
    sentences.append(_reached(report) if versus.accuracy_difference >= 0 else _missed(report))
    if versus.accuracy_difference < 0:
        sentences.append(_curve(report))
    return " ".join(sentences)


def _reached(report: Report) -> str:
    versus = report.comparison
    accuracy = f"{percent(report.cascade.accuracy)} % against {percent(report.nets[versus.net].accuracy)} %"
    if versus.macs_ratio < 1:
        return (
            f"At equal or higher accuracy the cascade has a lower average cost than the best fixed depth, "
            f"{versus.net}: it is right about {accuracy} of the test images, with {_costs(versus)}."
        )
    return (
        f"At equal accuracy the cascade does not have a lower average cost than the best fixed depth, {versus.net}: "
        f"{accuracy}, with {_costs(versus)}."
    )


def _missed(report: Report) -> str:
    versus = report.comparison
    low, high = versus.accuracy_interval
    verdict = "is not shown to be cheaper" if high >= 0 else "is not cheaper"
    chance = "a difference that may be chance" if high >= 0 else "a difference"
    return (
        f"At equal accuracy the cascade {verdict} than the best fixed depth, {versus.net}: it is right about "
        f"{percent(report.cascade.accuracy)} % of the test images, {versus.net} about "
        f"{percent(report.nets[versus.net].accuracy)} %, {chance} of {percent(versus.accuracy_difference)} points "
        f"(95 % interval {percent(low)} to {percent(high)}), with {_costs(versus)}."
    )


def _costs(versus: Comparison) -> str:
    share = versus.ms_ratio_plus_minus
    time = _change(versus.ms_ratio, f"time (± {100 * share:.1f})")
    if abs(versus.ms_ratio - 1) <= share:
        time = f"no measurable difference in time ({100 * (versus.ms_ratio - 1):+.1f} % ± {100 * share:.1f})"
    return f"{_change(versus.macs_ratio, 'multiply-accumulates')} and {time}"


def _change(ratio: float, what: str) -> str:
    less = "fewer" if what.startswith("multiply") else "less"
    return f"{100 * abs(1 - ratio):.1f} % {less if ratio < 1 else 'more'} {what}"


def _curve(report: Report) -> str:
    """What other cascades do: a choice that nobody could have made without the test images."""
    best = report.nets[report.comparison.net]
    reaching = [cascade for cascade in report.curve if cascade.accuracy >= best.accuracy]
    if not reaching:
        return "None of the other cascades reported reaches it either."
    cheapest = min(reaching, key=lambda cascade: cascade.macs)
    return (
        f"Of the other cascades reported, the cheapest that reaches it ({percent(cheapest.accuracy)} %) has "
        f"{_change(cheapest.macs / best.macs, 'multiply-accumulates')}; but which one that is, only the test images "
        "tell."
    )
