"""A page of nets that is open in a browser, as a test looks at it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


class Visit:
    """A page that is open, with what it complained of and whom it asked.

    Args:
        page: of playwright.
    """

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc or request.url[:5]))
        page.set_default_timeout(120_000)

    def shows(self, condition: str, *values: Any) -> None:
        """Wait until a condition in JavaScript holds, of these values."""
        self.page.wait_for_function(f"([{', '.join('abcd'[: len(values)])}]) => {condition}", arg=list(values))

    def upload(self, picture: Path) -> None:
        """Choose a file, and wait for the answers of all nets."""
        self.page.set_input_files("#file", picture)
        self.answered()

    def answered(self) -> None:
        empty = "[...document.querySelectorAll('#nets .label')].filter((cell) => cell.textContent === '–').length"
        self.shows(f"!{empty} && document.querySelector('tr.chosen')")

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    def values(self, column: str) -> dict[str, float]:
        """What a column has for each net, such as Probability."""
        rows = self.page.locator("#nets tr").all()
        return {
            row.get_attribute("data-net"): float(row.locator(f"[data-head='{column}'] data").get_attribute("value"))
            for row in rows
        }

    def chosen(self) -> str:
        return self.page.locator("tr.chosen").get_attribute("data-net")

    def ready(self) -> None:
        """Wait until the page knows its nets."""
        self.shows("document.getElementById('state').dataset.state === 'ready'")

    def give_time(self, fits: Callable[[float], bool]) -> float:
        """Move the slider to the first place whose deadline in milliseconds will do."""
        for place in range(100):
            self.page.locator("#deadline").fill(str(place))
            limit = float(self.text("#limit").split()[0])
            if fits(limit):
                return limit
        raise AssertionError("there is no such deadline")
