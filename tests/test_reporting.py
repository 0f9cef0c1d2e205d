"""Reports that are written at the end of a run: in the form asked for, however the run has ended."""

from pathlib import Path

import pytest

from daemon.cli.reporting import reported
from daemon.config.history import History
from daemon.errors import FailedError, ThresholdError, UsageError
from daemon.history.file import open_to_write
from daemon.history.scribe import Scribe
from tests.past import Past, beginning


def lived(file: Path) -> None:
    """Write a run of two seconds into a history."""
    past = Past()
    with open_to_write(file) as db:
        scribe = Scribe(db, beginning(), sample_interval=1.0)
        for second in range(3):
            past.at = float(second)
            past.ops("writer", 50, 0.01)
            scribe.look(past.look())


def test_a_report_has_the_form_that_its_name_asks_for(tmp_path: Path) -> None:
    history = History(file=tmp_path / "history.db")
    begins = {
        "o.html": "<!DOCTYPE html>",
        "o.md": "# soakd run ",
        "o.json": "{",
        "o.csv": "second,",
        "o.XML": "<?xml",
    }
    with reported(history, [tmp_path / name for name in begins]):
        lived(history.file)
    for name, text in begins.items():
        assert (tmp_path / name).read_text().lstrip().startswith(text)


def test_a_run_that_failed_has_its_report_and_its_exit_code(tmp_path: Path) -> None:
    history = History(file=tmp_path / "history.db")
    lived(history.file)
    with pytest.raises(FailedError, match=r"^too slow$") as caught, reported(history, [tmp_path / "o.md"]):
        raise ThresholdError("too slow")
    assert caught.value.exit_code == 4
    assert (tmp_path / "o.md").exists()


def test_what_keeps_a_report_from_being_written_is_told_beside_what_was_wrong(tmp_path: Path) -> None:
    history = History(file=tmp_path / "history.db")
    lived(history.file)

    def run() -> None:
        (tmp_path / "o.md").mkdir()
        raise ThresholdError("too slow")

    with pytest.raises(FailedError) as caught, reported(history, [tmp_path / "o.md"]):
        run()
    first, second = str(caught.value).splitlines()
    assert (first, caught.value.exit_code) == ("too slow", 4)
    assert second.startswith(f"{tmp_path}/o.md: cannot be written")


def test_without_a_run_there_is_no_report(tmp_path: Path) -> None:
    history = History(file=tmp_path / "none.db")
    with (
        pytest.raises(FailedError, match="there is no such file") as caught,
        reported(history, [tmp_path / "o.md"]),
    ):
        pass
    assert caught.value.exit_code == 2


def test_a_history_that_could_not_be_written_is_told_as_the_reason(tmp_path: Path) -> None:
    history = History(file=tmp_path / "history.db")
    open_to_write(history.file).close()
    with (
        pytest.raises(FailedError, match=r"holds nothing of this run: .* see history.off in the log"),
        reported(history, [tmp_path / "o.md"]),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("o.pdf", "end its name in one of"),
        ("no/o.md", "there is no folder"),
        ("folder.md", "is a folder; name a file"),
    ],
)
def test_what_cannot_be_reported_is_refused_before_the_run(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "folder.md").mkdir()
    with pytest.raises(UsageError, match=says), reported(History(), [tmp_path / name]):
        pytest.fail("it has run")
