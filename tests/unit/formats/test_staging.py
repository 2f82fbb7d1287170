from pathlib import Path

import pytest

from ddnn.errors import DDNNError
from ddnn.formats.staging import staged


def test_appears_when_it_is_complete(tmp_path: Path) -> None:
    with staged(tmp_path / "a" / "export") as stage:
        (stage / "file").write_text("whole")
        assert not (tmp_path / "a" / "export").exists()
    assert (tmp_path / "a" / "export" / "file").read_text() == "whole"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["export"]


@pytest.mark.parametrize("error", [DDNNError, KeyboardInterrupt, OSError])
def test_nothing_is_left_of_work_that_fails(tmp_path: Path, error: type[BaseException]) -> None:
    def work() -> None:
        with staged(tmp_path / "export") as stage:
            (stage / "file").write_text("half")
            raise error

    with pytest.raises(error):
        work()
    assert list(tmp_path.iterdir()) == []


def test_takes_an_empty_folder_and_no_other(tmp_path: Path) -> None:
    with staged(tmp_path / "export"):
        pass
    with staged(tmp_path / "export") as stage:
        (stage / "file").touch()
    with pytest.raises(DDNNError, match="exists already; give another --output"), staged(tmp_path / "export"):
        pytest.fail("the work must not begin")


def test_is_readable_as_any_new_folder_is(tmp_path: Path) -> None:
    with staged(tmp_path / "export"):
        pass
    (tmp_path / "other").mkdir()
    assert (tmp_path / "export").stat().st_mode == (tmp_path / "other").stat().st_mode
