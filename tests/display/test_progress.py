"""What a stage shows on a terminal while it is at work, and elsewhere."""

import io
import logging

import pytest
from rich.console import Console

from customer_segmentation.progress import Progress


def told(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)


def test_a_stage_shows_how_long_it_will_still_take_by_the_last_run() -> None:
    console = terminal()
    progress = Progress(console)
    progress.expected = {"train": 1000.0}
    with progress.stage("train", "choosing and fitting segments") as stage:
        stage.result = "4 segments"
    shown = told(console)
    assert "choosing and fitting segments" in shown
    assert "about 1000 s left" in shown
    assert "✓ train" in shown
    assert "4 segments" in shown


def test_a_stage_that_takes_longer_says_what_the_last_one_took_and_a_first_one_nothing() -> None:
    for expected, hint in ({"train": 0.1}, "the last run took 0 s"), ({}, None):
        console = terminal()
        progress = Progress(console)
        progress.expected = expected
        with progress.stage("train", "choosing"):
            pass
        shown = told(console)
        assert " s left" not in shown
        assert hint is None or hint in shown


def test_elsewhere_stages_are_lines_of_a_log(caplog: pytest.LogCaptureFixture) -> None:
    console = Console(file=io.StringIO())
    progress = Progress(console)
    progress.expected = {"train": 1000.0}
    with caplog.at_level(logging.INFO), progress.stage("train", "choosing") as stage:
        stage.result = "4 segments"
    assert told(console) == ""
    assert caplog.records[0].getMessage() == "train: choosing"


def test_a_stage_that_fails_leaves_no_live_line(caplog: pytest.LogCaptureFixture) -> None:
    console = terminal()
    progress = Progress(console)
    with pytest.raises(ValueError, match="no"), progress.stage("train", "choosing"):
        raise ValueError("no")
    with progress.stage("assign", "scoring"):
        pass
    assert [stage.status for stage in progress.stages] == ["failed", "done"]
    assert "✓ train" not in told(console)
