"""Memory of a session that is started on this machine."""

import os
from pathlib import Path

import pytest

from customer_segmentation.spark import machine

WHOLE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.fixture
def limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in place of the container's limit; not there."""
    file = tmp_path / "memory.max"
    monkeypatch.setattr(machine, "CONTAINER_LIMITS", (file,))
    return file


@pytest.mark.parametrize("text", [None, "max\n", str(2 * WHOLE)])
def test_without_a_container_or_a_limit_below_it_the_memory_is_the_machines(limit: Path, text: str | None) -> None:
    if text is not None:
        limit.write_text(text)

    assert machine.memory() == WHOLE


@pytest.mark.parametrize(
    ("gigabytes", "megabytes"), [(0.5, 1_024), (2, 1_024), (6, 3_072), (16, 8_192), (256, 31 * 1_024)]
)
def test_a_session_gets_half_of_the_memory_within_bounds(
    limit: Path, monkeypatch: pytest.MonkeyPatch, gigabytes: float, megabytes: int
) -> None:
    monkeypatch.setattr(machine.os, "sysconf", lambda name: {"SC_PAGE_SIZE": 2**40, "SC_PHYS_PAGES": 1}[name])
    limit.write_text(str(int(gigabytes * 2**30)))

    assert machine.driver_megabytes() == megabytes
