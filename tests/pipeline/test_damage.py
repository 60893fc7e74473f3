"""Tables and logs damaged in every way: a run ends with an error that names the file, or leaves what it always would.

Each kind of damage is done to a copy of one warehouse, one table at a time. What a run leaves is compared with what it
leaves without the damage; so is, after a refusal, that nothing was changed.
"""

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from pyarrow import ArrowException
from pyspark.sql import SparkSession

from customer_segmentation.cli import main
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import StorageError
from customer_segmentation.stages.table_versions import TableVersions
from tests.csv_lines import COLUMNS, SHEET, Line, seeded
from tests.generated import configured, quiet
from tests.readers import assert_all_read_what_spark_reads
from tests.verification.damage import LOG, as_a_file, as_a_folder, checkpoints, commits, cut, flip, remove, unsummed
from tests.warehouse import contents, read

DAYS = ("2024-03-10", "2024-03-11", "2024-03-12")
STATE = (t.TRANSACTIONS, t.RETURNS, t.CUSTOMER_DAYS, t.CUSTOMER_HISTORY)
OF_A_RUN = (t.CUSTOMER_FEATURES, t.CUSTOMER_SEGMENTS_HISTORY, t.SEGMENT_PROFILES)
ITS_NAMES = ["run_id", "made_from", "previous_segment_id"]
"""A run after all lines were read again is another one, with the results of this one."""


def orders(day: int, customers: range) -> list[Line]:
    """Orders of customers of three kinds: many small ones, few large ones, one long ago; a return, a bad line."""
    lines = []
    for customer in customers:
        number, price = [(8, 2), (3, 90), (1, 20)][customer % 3]
        for place in range(number):
            about = {"who": f"C{customer}", "no": f"O{day}-{customer}-{place}", "product": f"P{place}"}
            at = f"2024-0{1 + place % 2}-{1 + (customer + 3 * place) % 28:02} 10:00:00"
            lines.append(SHEET.line(**about, at=f"{DAYS[day - 1]} 09:00:00" if day else at, price=f"{price}.50"))
    returned = {"who": f"C{customers[0]}", "no": f"R{day}", "product": "P0", "at": f"2024-03-0{3 + day} 10:00:00"}
    return [*lines, SHEET.line(**returned, pieces="-1", price="2.50"), SHEET.line(no=f"B{day}", pieces="many")]


class Shop:
    """A folder with the files of a shop and its configuration, and tables there or elsewhere."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder = folder
        self.root = root

    def copied(self, root: Path) -> "Shop":
        """The same shop with a copy of its tables; Delta would remember what was at a path that is used again."""
        return Shop(self.folder, shutil.copytree(self.root, root))

    def deliver(self, day: int) -> Path:
        return SHEET.written(
            self.folder / "in" / f"{day}.csv", orders(day, range(45) if day == 0 else range(day, 45, 4))
        )

    @contextmanager
    def delivered(self, day: int) -> Iterator[None]:
        """The lines of a day are there for the block."""
        path = self.deliver(day)
        yield
        path.unlink()

    def run(self, day: int, command: str = "run") -> int:
        """The exit code of a command of a day."""
        configuration = {
            "as_of": DAYS[day],
            "sources": {"transactions": {"format": "csv", "path": str(self.folder / "in"), "columns": COLUMNS}},
            "clustering": {"k": 3, "features": ["recency_days", "frequency", "monetary"]},
            "tables": {"root": str(self.root)},
            "report": {"path": str(self.folder / "report.html")},
        }
        path = self.folder / "conf.yml"
        path.write_text(yaml.safe_dump(configuration))
        return main([command, "--config", str(path)])

    def state(self) -> dict[str, list[str]]:
        """What consumers read and what it is made of, to be compared."""
        segments = read(self.root, "customer_segments")
        (run_id,) = set(segments.run_id)
        frames = {table.name: read(self.root, table.name) for table in OF_A_RUN}
        frames = {name: frame[frame.run_id == run_id] for name, frame in frames.items()} | {"segments": segments}
        own = {name: frame.drop(columns=ITS_NAMES, errors="ignore") for name, frame in frames.items()}
        rows = {name: sorted(map(str, frame.to_dict("records"))) for name, frame in own.items()}
        return rows | {table.name: contents(self.root, table.name) for table in STATE}

    def files(self) -> dict[str, tuple[int, int]]:
        """All files of the tables with size and time, by path."""
        paths = (path for path in self.root.rglob("*") if path.is_file() and path.name != ".claim")
        return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}


@pytest.fixture(scope="module")
def shop(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop after two days, with checkpoints in its logs."""
    interval = "spark.databricks.delta.properties.defaults.checkpointInterval"
    spark.conf.set(interval, "2")
    folder = tmp_path_factory.mktemp("shop")
    shop = Shop(folder, folder / "tables")
    for day in range(2):
        shop.deliver(day)
        assert shop.run(day) == 0
    yield shop
    spark.conf.unset(interval)


def newest_data(table: Path) -> Path:
    return max(table.rglob("part-*.parquet"), key=lambda path: path.stat().st_mtime_ns)


def swapped(path: Path) -> None:
    """Put another table's file in its place."""
    root = next(folder for folder in path.parents if (folder / "segment_transitions").is_dir())
    shutil.copy(next(other for other in root.glob("segment_transitions/part-*.parquet") if other != path), path)
    unsummed(path)


Target = Callable[[Path], Path]


def newest_commit(table: Path) -> Path:
    return commits(table)[-1]


def earlier_commit(table: Path) -> Path:
    return commits(table)[-2]


def newest_checkpoint(table: Path) -> Path:
    return checkpoints(table)[-1]


def log_of(table: Path) -> Path:
    return table / LOG


def table_itself(table: Path) -> Path:
    return table


def hint(table: Path) -> Path:
    return table / LOG / "_last_checkpoint"


DAMAGES: dict[str, tuple[Target, Callable[[Path], object]]] = {
    "newest commit gone": (newest_commit, remove),
    "newest commit and its checksums gone": (
        newest_commit,
        lambda path: (remove(path), unsummed(path), path.with_suffix(".crc").unlink(missing_ok=True)),
    ),
    "newest commit empty": (newest_commit, lambda path: cut(path, 0)),
    "newest commit empty, without checksum": (newest_commit, lambda path: (cut(path, 0), unsummed(path))),
    "newest commit cut": (newest_commit, lambda path: cut(path, 0.5)),
    "newest commit cut, without checksum": (newest_commit, lambda path: (cut(path, 0.5), unsummed(path))),
    "newest commit flipped": (newest_commit, lambda path: flip(path, path.stat().st_size // 2)),
    "newest commit a folder": (newest_commit, as_a_folder),
    "earlier commit gone": (earlier_commit, remove),
    "earlier commit empty": (earlier_commit, lambda path: cut(path, 0)),
    "checkpoint gone": (newest_checkpoint, remove),
    "checkpoint cut": (newest_checkpoint, lambda path: cut(path, 0.5)),
    "checkpoint empty": (newest_checkpoint, lambda path: cut(path, 0)),
    "checkpoint flipped": (newest_checkpoint, lambda path: flip(path, path.stat().st_size // 3)),
    "hint no JSON": (hint, lambda path: (path.write_text("garbage"), unsummed(path))),
    "hint empty": (hint, lambda path: (cut(path, 0), unsummed(path))),
    "data file gone": (newest_data, remove),
    "data file cut": (newest_data, lambda path: cut(path, 0.5)),
    "data file empty": (newest_data, lambda path: cut(path, 0)),
    "data file another": (newest_data, swapped),
    "data file a folder": (newest_data, as_a_folder),
    "checksum of a data file gone": (newest_data, unsummed),
    "log gone": (log_of, remove),
    "log a file": (log_of, as_a_file),
    "table gone": (table_itself, remove),
    "table a file": (table_itself, as_a_file),
}
"""What is done to what. Bits of data files are turned over in a test of their own: a run finds them where it reads."""

DAMAGED = [
    *(t.INGEST_BATCHES, t.TRANSACTIONS, t.RETURNS, t.CUSTOMER_HISTORY, t.CUSTOMER_SEGMENTS_HISTORY),
    *(t.CUSTOMER_SEGMENTS, t.MODEL_RUNS, t.PIPELINE_RUNS, t.PUBLICATIONS, t.TABLE_VERSIONS),
]


def damage_to(shop: Shop, table: t.Table, damage: str) -> Path | None:
    """Damage a table; the file in question, None where the table has no such."""
    target, do = DAMAGES[damage]
    try:
        path = target(shop.root / table.name)
    except IndexError:
        return None
    if not path.exists():
        return None
    do(path)
    return path


HARMLESS = {"checkpoint gone", "hint no JSON", "hint empty", "checksum of a data file gone"}
"""What readers do without."""


@pytest.mark.slow
@pytest.mark.parametrize("table", [t.INGEST_BATCHES, t.TABLE_BUILDS], ids=lambda table: table.name)
def test_damage_is_found_before_a_command_begins(
    spark: SparkSession, generated: Path, tmp_path: Path, table: t.Table
) -> None:
    first = Shop(tmp_path, shutil.copytree(generated / "tables", tmp_path / "first"))
    TableVersions(quiet(spark, configured(tmp_path, "first"))).record("run")
    tried = 0
    for damage in DAMAGES:
        copy = first.copied(tmp_path / damage.replace(" ", "-"))
        path = damage_to(copy, table, damage)
        if path is None:
            continue
        tried += 1
        versions = TableVersions(quiet(spark, configured(tmp_path, copy.root.name)))
        if damage in HARMLESS or (damage == "table gone" and table.name in t.REBUILT_TABLES):
            versions.require_whole()
        else:
            with pytest.raises(StorageError) as refused:
                versions.require_whole()
            assert str(path) in str(refused.value) or str(path.parent) in str(refused.value), damage
        shutil.rmtree(copy.root)
    print(f"{table.name}: {tried} kinds of damage")
    assert tried > 15


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("table", DAMAGED, ids=lambda table: table.name)
def test_a_run_over_damage_is_refused_by_name_or_harmless(
    shop: Shop, tmp_path: Path, table: t.Table, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = Counter[str]()
    expected = shop.state()
    for damage in DAMAGES:
        copy = shop.copied(tmp_path / damage.replace(" ", "-"))
        path = damage_to(copy, table, damage)
        if path is None:
            continue
        before = copy.files()
        code, said = copy.run(1), capsys.readouterr().err
        if code == 0:
            assert copy.state() == expected, damage
            ended["harmless"] += 1
        else:
            assert code == 1, said
            assert str(path) in said or str(path.parent) in said, f"{damage}: {said}"
            assert "Exception" not in said, f"{damage}: {said}"
            assert copy.files() == before, damage
            ended["refused"] += 1
        with capsys.disabled():
            print(f"\n{table.name}, {damage}: {'harmless' if code == 0 else said.splitlines()[-1]}", end="", flush=True)
        shutil.rmtree(copy.root)
    with capsys.disabled():
        print(f"\n{table.name}: {ended.total()} kinds of damage, {dict(ended)}", flush=True)
    assert ended.total() > 15


READ_BY_A_DAY = [
    *(t.TRANSACTIONS, t.RETURNS, t.CUSTOMER_DAYS, t.CUSTOMER_HISTORY, t.MODEL_RUNS, t.CUSTOMER_SEGMENTS),
    *(t.INGEST_BATCHES, t.INGESTED_FILES, t.TABLE_BUILDS, t.PIPELINE_RUNS, t.CUSTOMER_SEGMENTS_HISTORY),
]


@pytest.mark.long
@pytest.mark.slow
def test_a_day_over_turned_bits_ends_with_the_file_or_as_it_would_without(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw, ended = seeded(), Counter[str]()
    with shop.delivered(2):
        reference = shop.copied(tmp_path / "reference")
        assert reference.run(2) == 0
        expected = reference.state()
        for table in READ_BY_A_DAY:
            for has_checksum in (True, False):
                copy = shop.copied(tmp_path / f"{table.name}-{has_checksum}")
                files = list((copy.root / table.name).rglob("part-*.parquet"))
                for path in files:
                    if not has_checksum:
                        unsummed(path)
                    flip(path, draw.randrange(4, path.stat().st_size // 3))  # in the pages
                capsys.readouterr()
                code, said = copy.run(2), capsys.readouterr().err
                outcome = "harmless" if code == 0 else "refused"
                if code == 0:
                    try:
                        state = copy.state()
                    except (ArrowException, OSError):
                        outcome = "no matter for the day, an error for who reads the file"
                    else:
                        assert state == expected, table.name
                else:
                    assert code == 1, said
                    assert any(path.name in said for path in files), f"{table.name}: {said}"
                ended[outcome] += 1
                with capsys.disabled():
                    print(f"\n{table.name}, checksums {has_checksum}: {code} {said.splitlines()[-1:]}", flush=True)
                shutil.rmtree(copy.root)
    with capsys.disabled():
        print(dict(ended), flush=True)


def mounted(options: str, folder: Path, *, source: str = "none") -> bool:
    """Whether a file system could be mounted there; only root may."""
    return subprocess.run(["mount", *options.split(), source, str(folder)], capture_output=True).returncode == 0


ONLY_ROOT_MOUNTS = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root mounts file systems")


@pytest.mark.long
@pytest.mark.slow
@ONLY_ROOT_MOUNTS
def test_a_disk_that_is_full_is_named_and_the_next_run_with_room_goes_on(
    spark: SparkSession, shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if not mounted("-t tmpfs -o size=200m", disk):
        pytest.skip("no file system can be mounted here")
    try:
        with shop.delivered(2):
            reference = shop.copied(tmp_path / "reference")
            assert reference.run(2) == 0
            full = shop.copied(disk / "tables")
            for left in (0, 20_000, 100_000, 250_000, 400_000):
                filler = disk / "filler"
                filler.write_bytes(bytes(shutil.disk_usage(disk).free - left))
                capsys.readouterr()
                code, said = full.run(2), capsys.readouterr().err
                assert code == 1, f"{left}: {said}"
                assert str(disk) in said, said
                assert "the disk is full" in said, said
                filler.unlink()
            assert full.run(2) == 0
            assert full.state() == reference.state()
            assert_all_read_what_spark_reads(spark, full.root)
            assert full.run(2, "verify") == 0, capsys.readouterr().err
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.long
@pytest.mark.slow
@ONLY_ROOT_MOUNTS
def test_tables_that_may_not_be_written_are_named_and_nothing_is_changed(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shop.copied(tmp_path / "tables")
    before, folder = copy.files(), copy.root / "transactions"
    with shop.delivered(2):
        if not (mounted("--bind", folder, source=str(folder)) and mounted("-o remount,bind,ro", folder)):
            pytest.skip("no file system can be mounted here")
        try:
            capsys.readouterr()
            assert copy.run(2) == 1
            said = capsys.readouterr().err
            assert f"{folder}: expected a folder that can be written to" in said
            assert copy.files() == before
        finally:
            subprocess.run(["umount", str(folder)], check=True)
        assert copy.run(2) == 0
