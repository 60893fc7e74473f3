"""The archive of classes: recorded by one Java process, used by the next, and never in the way."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from customer_segmentation.spark.class_archive import class_archive_options
from customer_segmentation.spark.jars import delta_jars
from tests.generated import ROOT

SESSION = """
import sys
from customer_segmentation.config.schema import Spark
from customer_segmentation.spark.session import get_session
conf = {"spark.driver.extraJavaOptions": "-Xlog:class+load:file=" + sys.argv[1]}
spark = get_session(Spark(master="local[1]", driver_memory="1g", conf=conf), record_classes=True)
print(spark.range(10).count())
"""


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache with Delta's jars and no archive."""
    jars = delta_jars()[0].parent
    shutil.copytree(jars, tmp_path / jars.name)
    monkeypatch.setenv("CUSTOMER_SEGMENTATION_CACHE", str(tmp_path))
    return tmp_path / "classes"


def recorded_to(options: str) -> Path:
    return Path(next(part.split("=")[1] for part in options.split() if "ArchiveClassesAtExit" in part))


def test_an_archive_is_used_once_it_is_whole(cache: Path) -> None:
    assert class_archive_options("", record=False) == ""
    partial, whole = (recorded_to(class_archive_options("", record=True)) for _ in range(2))
    assert partial != whole, "two processes don't write the same file"
    partial.write_bytes(bytes(100))
    assert "SharedArchiveFile" not in class_archive_options("", record=False), "its header is written last"
    whole.write_bytes(b"\xf0" * 100)
    options = class_archive_options("", record=True)
    assert "ArchiveClassesAtExit" not in options
    archive = next(part.split("=")[1] for part in options.split() if "SharedArchiveFile" in part)
    assert Path(archive).read_bytes() == b"\xf0" * 100
    assert "SharedArchiveFile" not in class_archive_options("another.jar", record=False)


def test_what_was_left_half_written_and_what_nobody_uses_is_removed(cache: Path) -> None:
    partial, whole = (recorded_to(class_archive_options("", record=True)) for _ in range(2))
    partial.write_bytes(bytes(100))
    long_ago = time.time() - 40 * 86_400
    os.utime(partial, (long_ago, long_ago))
    unused = cache / "unused.jsa"
    unused.touch()
    os.utime(unused, (long_ago, long_ago))
    whole.write_bytes(b"\xf0")
    assert "SharedArchiveFile" in class_archive_options("", record=False)
    assert not partial.exists()
    assert not unused.exists()


def test_a_cache_that_can_not_be_written_records_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CUSTOMER_SEGMENTATION_CACHE", str(tmp_path / "file"))
    assert class_archive_options("", record=True) == ""


@pytest.mark.long
@pytest.mark.slow
def test_a_java_process_takes_its_classes_from_what_the_one_before_recorded(cache: Path, tmp_path: Path) -> None:
    shared = []
    for number in range(2):
        log = tmp_path / f"{number}.log"
        # The archive is written as Java ends, which holds on to the output until then.
        done = subprocess.run(
            [sys.executable, "-c", SESSION, str(log)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            env={**os.environ, "SPARK_LOCAL_IP": "127.0.0.1"},
        )
        assert done.stdout.endswith("10\n"), done.stderr
        assert "[warning][cds" not in done.stdout + done.stderr
        loaded = log.read_text().split("\n")
        shared.append(sum("shared objects file (top)" in line for line in loaded) / len(loaded))
    print(f"classes from the archive: {shared[0]:.0%}, then {shared[1]:.0%}")
    assert shared[0] == 0
    assert shared[1] > 0.5
