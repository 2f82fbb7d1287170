"""Any configuration either runs or is refused with one clear message that leaves nothing behind."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.end_to_end.command import run
from tests.faults.configurations import texts
from tests.repeats import environment_number

SHORT = ("--epochs", 1, "--limit", 1, "--compile", "false", "--resume", "null")
OUTCOMES = {0: "ran", 1: "refused", 2: "not understood"}


def check(text: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> str:
    """What came of it."""
    file, output = folder / "config.yaml", folder / "run"
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    result = run(capfd, "train", "--config", file, *SHORT, "--output", output)
    if result.status == 0:
        for path in sorted(output.rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        output.rmdir()
        return OUTCOMES[0]
    assert result.status in OUTCOMES, text
    message = [line for line in result.err.splitlines() if not line.startswith(("epoch ", "ddnn: warning"))]
    assert message, text
    assert message[0].startswith("ddnn: error: "), (text, result.err)
    assert len(message) <= 2, (text, result.err)
    assert "Traceback" not in result.err
    assert result.out == ""
    assert not output.exists(), text
    return OUTCOMES[result.status]


@pytest.mark.parametrize(
    "count", [25, pytest.param(environment_number("DDNN_CONFIGURATIONS", 1000), marks=pytest.mark.slow)]
)
def test_it_runs_or_is_refused(count: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    outcomes = Counter[str]()

    @settings(
        max_examples=count, deadline=None, database=None, derandomize=count < 100, report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(texts())
    def each(text: str) -> None:
        outcomes[check(text, tmp_path, capfd)] += 1

    each()
    with capfd.disabled():
        print(f"\n{outcomes.total()} configurations: {dict(outcomes)}")
