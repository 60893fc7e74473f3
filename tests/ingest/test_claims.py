"""One run at a time: the other is told who is at work, a dead one's claim is taken over."""

import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from customer_segmentation.claims import LOCK_FILE, claimed_folder, claimed_tables, note_spark_of, owner_of
from customer_segmentation.config.schema import Tables
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import WarehouseBusyError
from customer_segmentation.processes import is_alive, this_process
from customer_segmentation.storage import Warehouse, literal, local_root
from tests.generated import ROOT

HOLDER = """
import sys
from pathlib import Path
from customer_segmentation.claims import claimed_folder
with claimed_folder(Path(sys.argv[1]), "holding"):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Callable[[], subprocess.Popen[str]]:
    """Another process that holds the claim on the folder until it is told to end."""

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-c", HOLDER, str(tmp_path)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        process = subprocess.Popen(command, cwd=ROOT, **pipes)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    return start


def test_a_claimed_folder_is_rejected_with_who_holds_it_until_the_holder_ends(
    tmp_path: Path, holder: Callable[[], subprocess.Popen[str]]
) -> None:
    process = holder()

    with (
        pytest.raises(WarehouseBusyError, match=rf"`holding` of .*, process {process.pid}, since 20"),
        claimed_folder(tmp_path, "run"),
    ):
        pass
    process.communicate("\n")

    with claimed_folder(tmp_path, "run"):
        assert f"process {os.getpid()}" in (tmp_path / LOCK_FILE).read_text()
    assert (tmp_path / LOCK_FILE).read_text() == ""


def test_a_killed_holder_is_taken_over_from(tmp_path: Path, holder: Callable[[], subprocess.Popen[str]]) -> None:
    process = holder()
    process.kill()
    process.communicate()

    with claimed_folder(tmp_path, "run"):
        assert "`run`" in (tmp_path / LOCK_FILE).read_text()


def test_what_a_dead_run_had_started_is_waited_for(tmp_path: Path) -> None:
    """A virtual machine may still be committing when the process that started it is gone."""
    with claimed_folder(tmp_path, "run"), subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        note_spark_of(tmp_path, "run")
        left = json.loads((tmp_path / LOCK_FILE).read_text())
        assert child.pid in [number for number, _ in left["children"]]
        assert all(map(is_alive, left["children"]))
    # As a run leaves it that is killed when what it started has just ended.
    of_child = [process for process in left["children"] if process[0] == child.pid]
    (tmp_path / LOCK_FILE).write_text(json.dumps(left | {"children": of_child}))

    with claimed_folder(tmp_path, "run"):
        assert json.loads((tmp_path / LOCK_FILE).read_text())["children"] == []


def test_a_process_is_not_taken_for_another_one_of_its_number(tmp_path: Path) -> None:
    number, began = this_process()
    assert is_alive((number, began))
    assert not is_alive((number, began + 1))
    # What a run in another container had started has numbers that mean something else here.
    elsewhere = {"who": "another container", "place": "elsewhere", "children": [this_process()]}
    (tmp_path / LOCK_FILE).write_text(json.dumps(elsewhere))

    with claimed_folder(tmp_path, "run"):
        assert "`run`" in (tmp_path / LOCK_FILE).read_text()


@pytest.mark.parametrize("error", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_not_taken_for_a_busy_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def refused(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    with claimed_folder(tmp_path, "run") as is_claimed:
        assert is_claimed
    monkeypatch.setattr("fcntl.flock", refused)

    with claimed_folder(tmp_path, "run") as is_claimed:
        assert not is_claimed, "a row of a table has to claim"


def test_only_paths_without_a_scheme_are_folders_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPARK_REMOTE", raising=False)
    assert local_root(Tables(root=str(tmp_path))) == tmp_path
    assert local_root(Tables(root="s3a://bucket/tables")) is None
    assert local_root(Tables(root=None, schema="shop")) is None


@pytest.mark.parametrize("place", [{"SPARK_REMOTE": "sc://spark.example.com"}, {"PYSPARK_GATEWAY_PORT": "40000"}])
def test_where_spark_is_elsewhere_a_path_is_a_folder_of_this_machine_once_tables_are_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: dict[str, str]
) -> None:
    for name, value in place.items():
        monkeypatch.setenv(name, value)
    tables = Tables(root=str(tmp_path / "shop"))

    assert local_root(tables) is None
    (tmp_path / "shop" / t.TRANSACTIONS.name).mkdir(parents=True)
    assert local_root(tables) is None, "a folder that somebody made has no tables in it"
    (tmp_path / "shop" / t.TRANSACTIONS.name / "_delta_log").mkdir()
    assert local_root(tables) == tmp_path / "shop"


@pytest.mark.slow
def test_a_row_claims_tables_that_lie_elsewhere(spark: SparkSession, tmp_path: Path) -> None:
    warehouse = Warehouse(spark, Tables(root=str(tmp_path)))
    with claimed_tables(warehouse, "elsewhere, process 1, since noon", "run"):
        with pytest.raises(WarehouseBusyError, match=r"`run` of .*, since 20"), claimed_tables(warehouse, "b", "train"):
            pass
        old = {"renewed_at": "current_timestamp() - INTERVAL 11 MINUTES"}
        warehouse.update(t.WAREHOUSE_CLAIM, old, where="true")
        with claimed_tables(warehouse, "c", "train"):
            assert warehouse.read(t.WAREHOUSE_CLAIM).head()["owner"] == "c"
    assert [row["owner"] for row in warehouse.read(t.WAREHOUSE_CLAIM).collect()] == [None]


@pytest.mark.slow
def test_of_several_that_claim_a_row_at_once_one_works_and_the_others_are_told(
    spark: SparkSession, tmp_path: Path
) -> None:
    settings = Tables(root=str(tmp_path))
    with claimed_tables(Warehouse(spark, settings), "first", "run"):
        pass
    all_here, all_tried = threading.Barrier(4, timeout=300), threading.Barrier(4, timeout=300)

    def claim(number: int) -> str:
        all_here.wait()
        try:
            with claimed_tables(Warehouse(spark, settings), f"claimant {number}", "run"):
                all_tried.wait()
                return "worked"
        except WarehouseBusyError:
            all_tried.wait()
            return "told"

    with ThreadPoolExecutor(4) as threads:
        outcomes = list(threads.map(claim, range(4)))

    assert sorted(outcomes) == ["told", "told", "told", "worked"]


def of_a_dead_process() -> str:
    """The owner that a process which has ended would have been."""
    program = "from customer_segmentation.claims import owner_of; print(owner_of('2024-03-01'))"
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return ended.stdout.strip()


@pytest.mark.classic("a server of Spark Connect may still work for the process that died")
@pytest.mark.slow
def test_the_row_of_a_process_that_died_is_taken_over_at_once_but_not_where_it_can_not_be_seen(
    spark: SparkSession, tmp_path: Path
) -> None:
    warehouse, dead = Warehouse(spark, Tables(root=str(tmp_path))), of_a_dead_process()

    def owned_by(owner: str) -> None:
        values = {"owner": literal(owner), "description": "'another'", "renewed_at": "current_timestamp()"}
        warehouse.update(t.WAREHOUSE_CLAIM, values | {"claimed_at": "current_timestamp()"}, where="true")

    with claimed_tables(warehouse, "first", "run"):
        owned_by(dead + "of another container")
        with pytest.raises(WarehouseBusyError, match="another"), claimed_tables(warehouse, "second", "run"):
            pass
        owned_by(owner_of("2024-03-01"))
        with pytest.raises(WarehouseBusyError, match="another"), claimed_tables(warehouse, "second", "run"):
            pass
        owned_by(dead)
        with claimed_tables(warehouse, "second", "run"):
            assert warehouse.read(t.WAREHOUSE_CLAIM).head()["owner"] == "second"


ON_CONNECT = """
import sys
from pyspark.sql import SparkSession
from customer_segmentation.claims import claimed_tables
from customer_segmentation.config.schema import Spark, Tables
from customer_segmentation.contract.errors import WarehouseBusyError
from customer_segmentation.spark.session import get_session
from customer_segmentation.storage import Warehouse
spark = get_session(Spark(shuffle_partitions=2, driver_memory="1g"))
warehouse = Warehouse(spark, Tables(root=sys.argv[1]))
for owner in ("a", sys.argv[2]):
    with claimed_tables(warehouse, owner, "run"):
        try:
            with claimed_tables(warehouse, "b", "train"):
                print("both")
        except WarehouseBusyError as error:
            print(error)
with claimed_tables(warehouse, "b", "train"):
    print("then b", type(spark).__module__)
"""


@pytest.mark.long
@pytest.mark.slow
def test_a_row_claims_tables_over_spark_connect(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ON_CONNECT, str(tmp_path), of_a_dead_process()],
        cwd=ROOT,
        env=os.environ | {"SPARK_REMOTE": "local[2]"},
        capture_output=True,
        text=True,
    )

    assert ended.returncode == 0, ended.stderr
    told = ended.stdout.splitlines()
    assert all("another run is at work" in line for line in told[:2]), "the server may still work for the dead one"
    assert told[2].startswith("then b pyspark.sql.connect")
