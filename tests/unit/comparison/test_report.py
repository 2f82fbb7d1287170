import csv
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ddnn.comparison.report import show, write_report
from ddnn.comparison.summary import NetFacts
from ddnn.errors import DDNNError
from tests.unit.comparison.experiments import NETS, run, summary_of, usual

FILES = {"summary.json", "table.csv", "accuracy_over_macs.png", "report.html"}
VOID = {"meta", "img", "br", "link"}


class _Page(HTMLParser):
    """Notes the elements, what they refer to, and the text; fails on tags that do not close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.references: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.references += [value or "" for key, value in attrs if key in {"src", "href", "srcset", "data", "action"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def _page(directory: Path) -> _Page:
    return _Page((directory / "report.html").read_text(encoding="utf-8"))


def _one_seed() -> dict[str, Any]:
    return summary_of([run for run in usual() if run.seed == 0])


def _no_baseline() -> dict[str, Any]:
    return summary_of([run for run in usual() if run.method != "alone"])


def _one_net() -> dict[str, Any]:
    return summary_of([run("ekd", 0, (0.5,), ("full",), peak_memory_mb=None)], {"full": NETS["full"]})


def _nothing_trained() -> dict[str, Any]:
    return summary_of([run("pruned", 0, (0.1, 0.2, 0.3), untrained=tuple(NETS))])


def _ten_methods() -> dict[str, Any]:
    return summary_of([run(f"method{number}", 0, (0.1, 0.2, 0.3)) for number in range(10)])


@pytest.mark.parametrize("make", [_one_seed, _no_baseline, _one_net, _nothing_trained, _ten_methods])
def test_every_experiment_can_be_reported(make: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary = make()
    write_report(tmp_path, summary)
    show(summary)
    assert {path.name for path in tmp_path.iterdir()} == FILES  # no temporary file is left
    assert all(method in _page(tmp_path).text for method in summary["methods"])
    printed = capsys.readouterr().out
    assert all(method in printed for method in summary["methods"])


def test_the_json_is_the_summary(tmp_path: Path) -> None:
    summary = summary_of(usual())
    write_report(tmp_path / "new" / "folder", summary)
    assert json.loads((tmp_path / "new" / "folder" / "summary.json").read_text()) == summary


def test_a_number_that_is_not_finite_writes_nothing(tmp_path: Path) -> None:
    summary = summary_of(usual())
    summary["costs"]["ekd"]["seconds"] = float("inf")
    with pytest.raises(DDNNError, match="not finite"):
        write_report(tmp_path, summary)
    assert not list(tmp_path.iterdir())


def test_the_csv_has_the_same_figures(tmp_path: Path) -> None:
    summary = summary_of(usual())
    write_report(tmp_path, summary)
    with (tmp_path / "table.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["net"]) for row in rows] == [
        (m, n) for m in summary["methods"] for n in summary["nets"]
    ]
    for row in rows:
        results = summary["methods"][row["method"]][row["net"]]
        assert float(row["accuracy_mean"]) == results["mean"]
        assert float(row["accuracy_std"]) == results["std"]
        assert [float(share) for share in row["accuracies"].split()] == results["seeds"]
        assert row["trained"] == str(results["trained"])
        if results["difference"]:
            assert [float(row["difference_low"]), float(row["difference_high"])] == results["difference"]["interval"]
            assert float(row["difference_mean"]) == results["difference"]["mean"]
        else:
            assert row["difference_mean"] == row["difference_low"] == ""
        assert float(row["method_seconds"]) == summary["costs"][row["method"]]["seconds"]


def test_the_plot_is_a_picture_with_something_on_it(tmp_path: Path) -> None:
    write_report(tmp_path, summary_of(usual()))
    with Image.open(tmp_path / "accuracy_over_macs.png") as picture:
        assert picture.format == "PNG"
        assert picture.width >= 1000
        assert picture.height >= 600
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20) or []}
    assert {(0xD5, 0x5E, 0x00), (0x00, 0x72, 0xB2)} <= colours  # the lines of ekd and joint


def test_the_page_stands_alone_and_says_what_was_found(tmp_path: Path) -> None:
    write_report(tmp_path, summary_of(usual(), command="ddnn compare --seeds 2", config={"epochs": 5}))
    page = _page(tmp_path)
    assert all(reference.startswith("data:image/png;base64,") for reference in page.references)
    assert not page.tags & {"script", "link", "iframe", "object", "embed", "base"}
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not any(word in source for word in ("http:", "https:", "@import", "url("))
    assert "ddnn compare --seeds 2" in page.text
    assert "epochs: 5" in page.text
    assert "71.70 ± 0.71" in page.text
    assert "+1.05 (+0.41 to +1.69)" in page.text
    assert "ekd at least 1.0 points above alone on every sub-net: reached" in page.text
    assert "8 runs on a CPU" in page.text


def test_both_budgets_stand_side_by_side(tmp_path: Path) -> None:
    longer = {"kind": "ekd", "budget": "compute", "epochs": 123}
    more = [run("ekd@compute", seed, (0.731, 0.790, 0.799), **longer) for seed in (0, 1)]
    write_report(tmp_path, summary_of([*usual(), *more], devices={"a CPU": 8, "another": 2}))
    text = _page(tmp_path).text
    assert text.count("equal epochs") >= len(NETS)
    assert text.count("equal compute") >= len(NETS)
    assert "73.10" in text
    assert "Runs were made on different machines" in text
    assert "2 runs on another" in text


def test_names_are_the_users_and_are_never_read_as_markup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("<b>x</b>", "$\\frac{", "_net [red]")
    nets: dict[str, NetFacts] = dict(zip(names, NETS.values(), strict=True))
    runs = [run(method, 0, (0.1, 0.2, 0.3), names) for method in ("alone", "ekd")]
    summary = summary_of(runs, nets, experiment="<script>$x", command="--name '<b>'", config={"net": "<b>x</b>"})
    write_report(tmp_path, summary)
    show(summary)
    page = _page(tmp_path)
    assert not page.tags & {"b", "script"}
    assert all(name in page.text for name in (*names, "<script>$x", "--name '<b>'"))
    printed = capsys.readouterr().out
    assert all(name in printed for name in names)


def test_the_terminal_table_is_narrow_and_complete(capsys: pytest.CaptureFixture[str]) -> None:
    summary = summary_of([*usual(), *(run("adaptive_depth", seed, (0.7, 0.76, 0.78)) for seed in (0, 1))])
    show(summary)
    table, verdict = capsys.readouterr().out.split("at equal epochs", 1)
    rows = [line.rstrip() for line in table.splitlines()]
    assert max(map(len, rows)) < 110
    assert sum("±" in row for row in rows) == 5 * len(NETS)
    first = next(row for row in rows if row.split()[:2] == ["ekd", "small"])
    assert first.split()[2:] == [
        "71.70",
        "±",
        "0.71",
        "+1.20",
        "(+1.20",
        "to",
        "+1.20)",
        "0.700",
        "3.00",
        "10.5",
        "101",
    ]
    assert [row.split()[0] for row in rows if "*" in row] == ["pruned", "middle*", "*"]  # the last says what it means
    assert "the full net" in verdict
