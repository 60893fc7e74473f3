"""Whole runs killed at any moment and started together, with a reader at work all the while.

KILLS and PAIRS in the environment say how many; they take a minute each. What was killed is run again in the session of
the test, which is another process and a warm one; every third time as a command, as at first.
"""

import io
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
import yaml
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError
from pyspark.sql import SparkSession
from rich.console import Console

from customer_segmentation.config import load_config
from customer_segmentation.pipeline import run_pipeline
from tests.csv_lines import COLUMNS, SHEET, Line, seeded
from tests.generated import ROOT, quiet
from tests.pipeline.test_runs import AS_OF, orders
from tests.warehouse import contents, read

pytestmark = [pytest.mark.slow, pytest.mark.long]

KILLS = int(os.environ.get("KILLS", "3"))
PAIRS = int(os.environ.get("PAIRS", "1"))
DAYS_OF_A_SHOP = 4
STATE = ["transactions", "rejected_transactions", "returns", "customer_days", "customer_history"]
OF_THE_RUN = ["customer_features", "customer_segments_history", "segment_profiles", "segment_transitions"]
NAMES_OF_RUNS = {"run_id", "made_from", "model_version", "batch_id"}


def configuration(folder: Path, day: int, root: str = "tables", master: str = "local[2]") -> Path:
    """The configuration of a shop's day, in a file."""
    settings = {
        "as_of": (AS_OF + timedelta(days=day)).isoformat(),
        "sources": {"transactions": {"format": "csv", "path": str(folder / "in"), "columns": COLUMNS}},
        "checks": {"max_rejected_share": 1.0},
        "clustering": {"k": 3, "features": ["recency_days", "frequency", "monetary"], "retrain_after_days": 2},
        "tables": {"root": str(folder / root)},
        "spark": {
            "master": master,
            "shuffle_partitions": 2,
            "driver_memory": "1g",
            "conf": {"spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m"},
        },
    }
    path = folder / f"{root}-{day}.yml"
    path.write_text(yaml.safe_dump(settings))
    return path


def delivery(draw: random.Random, number: int, first: bool) -> list[Line]:
    """Order lines of new and known customers, bad ones, and returns."""
    people = range(60) if first else range(100 * number, 100 * number + draw.randrange(0, 6))
    lines = orders(10_000 * number, people, draw)
    for place in range(draw.randrange(0, 6)):
        who, pieces = f"C{draw.randrange(60)}", draw.choice(["1", "1", "-1", "many"])
        lines.append(SHEET.line(who=who, no=f"L{number}-{place}", at="2024-03-08 12:00:00", pieces=pieces))
    return lines


class Reader:
    """Reads what is published again and again, as a consumer does, and keeps what is wrong with it."""

    def __init__(self) -> None:
        self.reads = 0
        self.wrong: list[str] = []
        self._stop = threading.Event()

    @contextmanager
    def reading(self, root: Path) -> Iterator[None]:
        thread = threading.Thread(target=self._read, args=(root,))
        self._stop.clear()
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _read(self, root: Path) -> None:
        while not self._stop.wait(0.3):
            try:
                segments = DeltaTable(str(root / "customer_segments")).to_pandas()
            except TableNotFoundError:
                continue
            runs = set(segments.run_id)
            if len(runs) != 1 or not segments.customer_id.is_unique:
                self.wrong.append(f"{len(segments)} rows of {segments.customer_id.nunique()} customers of runs {runs}")
            sizes = ["run_id", "segment_id", "customers"]
            profiles = DeltaTable(str(root / "segment_profiles")).to_pyarrow_table(columns=sizes)
            of_run = profiles.to_pandas().query("run_id in @runs").set_index("segment_id").customers
            if of_run.sort_index().to_dict() != segments.segment_id.value_counts().sort_index().to_dict():
                self.wrong.append(f"the profiles of run {runs} have other sizes than its segments")
            self.reads += 1


def started(config: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "customer_segmentation", "run", "--config", str(config)]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def run_here(spark: SparkSession, config: Path) -> None:
    run_pipeline(quiet(spark, load_config([config])), Console(file=io.StringIO()))


def current(root: Path) -> str | None:
    try:
        return str(read(root, "customer_segments").run_id.iloc[0])
    except TableNotFoundError:
        return None


def without_names(rows: pd.DataFrame) -> list[str]:
    # A column of whole numbers is one of doubles where rows of other runs, filtered out since, have none.
    rows = rows.drop(columns=NAMES_OF_RUNS, errors="ignore").convert_dtypes()
    return sorted(map(str, rows.to_dict("records")))


def assert_equal(root: Path, undisturbed: Path) -> None:
    """The tables are those of undisturbed runs, but for ids: ingest may have been committed more often."""
    for name in STATE:
        if name == "rejected_transactions":
            one, other = (read(each, name).drop(columns=["batch_id", "ingested_at"]) for each in (root, undisturbed))
            assert without_names(one) == without_names(other), name
        else:
            assert contents(root, name) == contents(undisturbed, name), name
    for name in OF_THE_RUN:
        one, other = (read(each, name).query(f"run_id == '{current(each)}'") for each in (root, undisturbed))
        assert without_names(one) == without_names(other), name
    for folder in (root, undisturbed):
        published = read(folder, "customer_segments")
        of_run = read(folder, "customer_segments_history").query("run_id == @published.run_id[0]")
        assert without_names(published) == without_names(of_run)
        newest = read(folder, "publications").sort_values("published_at").iloc[-1]
        assert newest.run_id == published.run_id[0]


def test_a_run_killed_at_any_moment_and_run_again_leaves_what_an_undisturbed_one_does(
    spark: SparkSession, tmp_path: Path
) -> None:
    draw, reader = seeded(), Reader()
    span, day, number = 0.0, 0, 0
    ended = Counter[str]()
    folder, undisturbed = tmp_path, tmp_path
    while ended["killed"] < KILLS:
        if day % DAYS_OF_A_SHOP == 0:
            day, folder = 0, tmp_path / f"shop{number}"
            undisturbed = folder / "undisturbed"
        number += 1
        SHEET.written(folder / "in" / f"{number}.csv", delivery(draw, number, first=day == 0))
        path, other = configuration(folder, day), configuration(folder, day, "undisturbed")
        root = folder / "tables"
        with reader.reading(root):
            before = current(root)
            for _ in range(draw.randrange(1, 6) if span else 0):
                process = started(path)
                try:
                    process.wait(draw.uniform(0, span))
                    ended["done"] += 1
                except subprocess.TimeoutExpired:
                    # With or without the JVM that it has started.
                    if draw.random() < 0.5:
                        os.killpg(process.pid, signal.SIGKILL)
                    else:
                        process.kill()
                    ended["killed"] += 1
                process.communicate()
                if draw.random() < 0.3:
                    if current(root) != before:
                        run_here(spark, other)
                        ended["published before it was killed"] += 1
                    before = current(root)
                    number += 1
                    SHEET.written(folder / "in" / f"{number}.csv", delivery(draw, number, first=False))
                    ended["new data before the next"] += 1
            if number % 3 == 1:
                began = time.monotonic()
                process = started(path)
                told = process.communicate()[1]
                assert process.returncode == 0, told
                span = max(span, time.monotonic() - began)
            else:
                run_here(spark, path)
        run_here(spark, other)
        assert_equal(root, undisturbed)
        assert not reader.wrong
        print(f"day {day}: {dict(ended)}, {reader.reads} reads, within {span:.0f} s", flush=True)
        day += 1
    assert reader.reads


def test_of_two_whole_runs_started_together_one_works_and_the_other_is_told(
    spark: SparkSession, tmp_path: Path
) -> None:
    draw, reader = seeded(), Reader()
    for number in range(PAIRS):
        SHEET.written(tmp_path / "in" / f"{number}.csv", delivery(draw, number, first=number == 0))
        path, other = configuration(tmp_path, number), configuration(tmp_path, number, "undisturbed")
        with reader.reading(tmp_path / "tables"):
            pair = [started(path), started(path)]
            told = [process.communicate()[1] for process in pair]
        assert sorted(process.returncode for process in pair) == [0, 4], told
        run_here(spark, other)
        assert_equal(tmp_path / "tables", tmp_path / "undisturbed")
        assert not reader.wrong
        print(f"pair {number}: {reader.reads} reads", flush=True)


def executors(process: subprocess.Popen[str]) -> list[int]:
    """The processes of a run's executors."""
    listed = subprocess.run(
        ["pgrep", "--session", str(process.pid), "--full", "CoarseGrainedExecutorBackend"],
        capture_output=True,
        text=True,
    )
    return [int(pid) for pid in listed.stdout.split()]


def test_a_run_that_loses_executors_ends_as_if_it_had_not(spark: SparkSession, tmp_path: Path) -> None:
    draw, killed = seeded(), 0
    for day in range(2):
        SHEET.written(tmp_path / "in" / f"{day}.csv", delivery(draw, day, first=day == 0))
        process = started(configuration(tmp_path, day, master="local-cluster[2,1,1024]"))
        told: list[str] = []
        reading = threading.Thread(target=lambda to, of: to.extend(of.communicate()), args=(told, process))
        reading.start()
        while reading.is_alive():
            reading.join(draw.uniform(5, 40))
            running = executors(process)
            if killed < 2 * (day + 1) and len(running) == 2:
                os.kill(draw.choice(running), signal.SIGKILL)
                killed += 1
        assert process.returncode == 0, told[1]
        run_here(spark, configuration(tmp_path, day, "undisturbed"))
        assert_equal(tmp_path / "tables", tmp_path / "undisturbed")
    assert killed
    print(f"{killed} executors killed")
