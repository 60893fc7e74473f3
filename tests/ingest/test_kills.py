"""Ingest killed at any moment, and several at once: no line is lost, none is there twice."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from pyspark.sql import SparkSession

from customer_segmentation.claims import claimed_folder
from customer_segmentation.config import Config, load_config
from customer_segmentation.stages import ingest_sources
from customer_segmentation.stages.ingest import committed_batch
from customer_segmentation.storage import local_root
from tests.csv_lines import COLUMNS, Line, Sheet, seeded
from tests.generated import ROOT, quiet
from tests.warehouse import read

KILLS = int(os.environ.get("KILLS", "2"))
PAIRS = int(os.environ.get("PAIRS", "1"))
SHEET = Sheet(who="C1", no="O1", at="2024-03-01 10:00:00", product="P1", pieces="2", price="3.50")


def configuration(folder: Path) -> Path:
    """A configuration of files below a folder, in a file."""
    settings = {
        "as_of": "2024-06-01",
        "sources": {
            "transactions": {
                "format": "csv",
                "path": str(folder / "in"),
                "columns": COLUMNS,
            }
        },
        "checks": {"max_rejected_share": 1.0},
        "tables": {"root": str(folder / "tables")},
        "spark": {
            "master": "local[2]",
            "shuffle_partitions": 2,
            "driver_memory": "1g",
            "conf": {
                "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m",
            },
        },
    }
    path = folder / "conf.yml"
    path.write_text(yaml.safe_dump(settings))
    return path


def delivery(draw: random.Random, number: int, earlier: list[Line]) -> list[Line]:
    """Lines of a day: new ones, copies of earlier ones, orders of two customers, returns, bad ones."""
    lines = []
    for place in range(draw.randrange(5, 40)):
        order = f"O{number}-{place // 2}"
        lines.append(
            SHEET.line(
                no=order,
                who=draw.choice([f"C{place // 2}", f"C{place // 2}", f"C{place}"]),
                product=f"P{place}",
                pieces=draw.choice(["1", "2", "-1", "many"]),
            )
        )
    return lines + draw.sample(earlier, min(len(earlier), 3))


def expected(lines: list[Line]) -> tuple[Counter[tuple[str, ...]], int]:
    """The accepted lines, counted by hand, and how many are rejected."""
    names = SHEET.names
    customers: dict[str, set[str]] = {}
    for one in lines:
        row = dict(zip(names, one, strict=True))
        customers.setdefault(row["no"], set()).add(row["who"])
    accepted = {
        tuple(one)
        for one in lines
        if one[names.index("pieces")] != "many" and len(customers[one[names.index("no")]]) == 1
    }
    return Counter(dict.fromkeys(accepted, 1)), len(lines) - len(accepted)


def started(config: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.ingest_process", str(config)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def assert_tables_hold(config: Config, lines: list[Line]) -> None:
    root = Path(str(config.tables.root))
    accepted, rejected = expected(lines)
    table = read(root, "transactions")
    there = Counter(
        (row.customer_id, row.order_id, row.product_id, str(int(row.quantity))) for row in table.itertuples()
    )
    names = SHEET.names
    wanted: Counter[tuple[str, ...]] = Counter()
    for one in accepted:
        row = dict(zip(names, one, strict=True))
        wanted[(row["who"], row["no"], row["product"], row["pieces"])] += 1
    assert there == wanted
    assert len(read(root, "rejected_transactions")) == rejected


@pytest.mark.long
@pytest.mark.slow
def test_an_ingest_killed_at_any_moment_and_run_again_loses_and_doubles_no_line(
    spark: SparkSession, tmp_path: Path
) -> None:
    draw = seeded()
    lines: list[Line] = []
    ended = Counter[str]()
    folder = tmp_path
    span = 600.0  # the first is not killed: it tells how long they take
    for number in range(KILLS + 1):
        if number % 3 == 0:  # a full load, then two batches on it
            folder = tmp_path / f"shop{number}"
            lines = []
        new = delivery(draw, number, lines)
        lines = lines + new
        SHEET.written(folder / "in" / f"{number}.csv", new)
        path = configuration(folder)
        process = started(path)
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n", process.communicate()[1]
        began = time.monotonic()
        try:
            process.wait(draw.uniform(0, span) if number else None)
            ended["done"] += 1
            span = time.monotonic() - began
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            ended["killed"] += 1
        process.communicate()

        config = load_config([path])
        with claimed_folder(local_root(config.tables), "test"):
            run = quiet(spark, config)
            ingest_sources(run)
        assert_tables_hold(config, lines)
        assert committed_batch(run).counts.add_up
        assert committed_batch(run).counts.lines == len(lines)
        state = committed_batch(run)
        print(f"{number}: {dict(ended)} within {span:.1f} s, batch {state.number}, {len(lines)} lines", flush=True)
    print(dict(ended))


@pytest.mark.long
@pytest.mark.slow
def test_of_two_runs_started_together_one_works_and_the_other_is_told(tmp_path: Path) -> None:
    draw = seeded()
    lines: list[Line] = []
    path = configuration(tmp_path)
    for number in range(PAIRS):
        new = delivery(draw, number, lines)
        lines += new
        SHEET.written(tmp_path / "in" / f"{number}.csv", new)
        command = [sys.executable, "-m", "customer_segmentation", "ingest", "--config", str(path)]
        pair = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        is_killed = number % 4 == 3
        if is_killed:
            victim = pair[draw.randrange(2)]
            with suppress(subprocess.TimeoutExpired):
                victim.wait(draw.uniform(1, 20))
            victim.kill()
        told = [process.communicate()[1] for process in pair]
        codes = sorted(process.returncode for process in pair)
        if not is_killed:
            assert codes == [0, 4], told
            busy = told[[process.returncode for process in pair].index(4)]
            assert "another run is at work" in busy
            assert "since 20" in busy
        if 0 not in codes:
            subprocess.run(command, check=True, capture_output=True)
        assert_tables_hold(load_config([path]), lines)
        print(f"{number}: exit codes {codes}", flush=True)
