"""Whatever happens to a file of a table is found and named; what any writer leaves in good order is not."""

import json
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from customer_segmentation.verification import examine
from tests.csv_lines import seeded
from tests.verification.damage import (
    LOG,
    as_a_file,
    as_a_folder,
    checkpoints,
    commits,
    cut,
    flip,
    remove,
    side_file,
    unsummed,
)

COMMITS = 7
CHECKPOINT = 3


def summed(path: Path) -> None:
    """Write the checksums that Hadoop writes beside a file."""
    data = path.read_bytes()
    sums = [zlib.crc32(data[start : start + 512]) for start in range(0, len(data), 512)]
    side_file(path).write_bytes(b"crc\0" + struct.pack(f">I{len(sums)}I", 512, *sums))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of several commits, of which one removes files, with a checkpoint in the middle."""
    table = tmp_path_factory.mktemp("original") / "orders"
    for number in range(COMMITS):
        rows = pa.table({"name": [f"{number}-{i}" for i in range(400)], "amount": [float(i) for i in range(400)]})
        write_deltalake(table, rows, mode="overwrite" if number == 2 else "append")
        if number == CHECKPOINT:
            DeltaTable(table).create_checkpoint()
    for path in [*table.glob("*.parquet"), *(table / LOG).iterdir()]:
        summed(path)
    return table


@pytest.fixture
def table(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "orders")


def findings(table: Path, *, every_byte: bool = True) -> list[str]:
    folder = examine("orders", table, every_byte=every_byte)
    return [] if folder is None else [str(finding) for finding in folder.findings]


def live_file(table: Path, place: int = 0) -> Path:
    return Path(sorted(DeltaTable(table).file_uris())[place])


def test_a_table_in_good_order_has_no_findings_and_is_the_one_that_another_reader_sees(table: Path) -> None:
    folder = examine("orders", table, every_byte=True)

    assert folder is not None
    assert folder.findings == []
    reader = DeltaTable(table)
    assert (folder.version, folder.table_id) == (reader.version(), reader.metadata().id)
    assert folder.files == len(reader.file_uris()) == COMMITS - 2
    assert folder.bytes == sum(Path(uri).stat().st_size for uri in reader.file_uris())
    for path in table.rglob("*.crc"):
        path.unlink()
    assert findings(table) == [], "other writers leave no checksums"
    DeltaTable(table).optimize.compact()
    DeltaTable(table).vacuum(0, enforce_retention_duration=False, dry_run=False)
    assert findings(table) == []


def test_what_a_writer_leaves_that_was_killed_is_no_finding(table: Path, tmp_path: Path) -> None:
    (table / "part-00000-left.snappy.parquet").write_bytes(b"PAR1 half a fi")
    (table / LOG / f".{COMMITS:020}.json.3f6c.tmp").write_text('{"commitInfo":')
    (tmp_path / "first" / LOG).mkdir(parents=True)
    (tmp_path / "first" / "part-00000-left.snappy.parquet").write_bytes(b"PAR1")

    assert findings(table) == []
    assert examine("first", tmp_path / "first") is None
    assert examine("none", tmp_path / "none") is None


def test_any_flipped_bit_is_found_and_its_file_named(table: Path) -> None:
    draw = seeded()
    files = [
        *table.glob("*.parquet"),
        *(path for path in (table / LOG).iterdir() if path.suffix in (".json", ".parquet")),
    ]
    for _ in range(60):
        path = draw.choice(files)
        before = path.read_bytes()
        flip(path, draw.randrange(len(before)))

        assert any(path.name in finding for finding in findings(table)), path
        path.write_bytes(before)
    assert findings(table) == []


def test_a_flipped_bit_in_a_page_is_found_without_checksums_too(table: Path) -> None:
    path = live_file(table)
    unsummed(path)
    flip(path, 200)

    (finding,) = findings(table)
    assert path.name in finding


def without_an_add(path: Path) -> None:
    kept = [line for line in path.read_text().splitlines() if not line.startswith('{"add"')]
    path.write_text("\n".join(kept))
    unsummed(path)


DAMAGES: dict[str, tuple[Callable[[Path], Path], Callable[[Path], object], bool]] = {
    "the newest commit is gone": (lambda table: commits(table)[-1], remove, True),
    "a commit in the middle is gone": (lambda table: commits(table)[-2], remove, True),
    "a commit before the checkpoint is gone": (lambda table: commits(table)[1], remove, False),
    "the newest commit is empty": (lambda table: commits(table)[-1], lambda path: cut(path, 0), True),
    "half of the newest commit is there": (lambda table: commits(table)[-1], lambda path: cut(path, 0.5), True),
    "half of it, without its checksum": (
        lambda table: commits(table)[-1],
        lambda path: (cut(path, 0.5), unsummed(path)),
        True,
    ),
    "an action has another name": (
        lambda table: commits(table)[-1],
        lambda path: (path.write_text(path.read_text().replace('"add"', '"adf"')), unsummed(path)),
        True,
    ),
    "the checkpoint is cut": (lambda table: checkpoints(table)[0], lambda path: cut(path, 0.7), True),
    "the checkpoint is empty": (lambda table: checkpoints(table)[0], lambda path: cut(path, 0), True),
    "the checkpoint is gone": (lambda table: checkpoints(table)[0], remove, False),
    "the hint at the checkpoint is no JSON": (
        lambda table: table / LOG / "_last_checkpoint",
        lambda path: path.write_text("x"),
        False,
    ),
    "a data file is gone": (live_file, remove, True),
    "a data file is cut": (live_file, lambda path: cut(path, 0.5), True),
    "a data file is empty": (live_file, lambda path: cut(path, 0), True),
    "a data file is longer": (live_file, lambda path: path.write_bytes(path.read_bytes() + b"x"), True),
    "a data file is a folder": (live_file, as_a_folder, True),
    "a checksum file is damaged": (live_file, lambda path: cut(side_file(path), 0.7), False),
    "the table is a file": (lambda table: table, as_a_file, True),
    "the log is a file": (lambda table: table / LOG, as_a_file, True),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named(table: Path, damage: str) -> None:
    file_of, do, is_seen_at_once = DAMAGES[damage]
    path = file_of(table)

    do(path)

    named = [finding for finding in findings(table) if path.name in finding]
    assert named, findings(table)
    assert all(finding.startswith("orders: ") and "; " in finding for finding in named)
    assert bool(findings(table, every_byte=False)) == is_seen_at_once


def test_a_file_with_another_number_of_rows_is_found(table: Path) -> None:
    """As one of the same size in its place, with its own checksums."""
    newest = commits(table)[-1]
    text = newest.read_text()
    assert r"\"numRecords\":400" in text
    newest.write_text(text.replace(r"\"numRecords\":400", r"\"numRecords\":399"))
    unsummed(newest)

    (finding,) = findings(table)
    assert "found 400 rows, where the log says 399" in finding


def test_a_commit_that_lost_a_file_is_found_by_the_summary_beside_it(table: Path) -> None:
    reader = DeltaTable(table)
    size = sum(Path(uri).stat().st_size for uri in reader.file_uris())
    summary = {"numFiles": len(reader.file_uris()), "tableSizeBytes": size}
    newest = commits(table)[-1]
    newest.with_suffix(".crc").write_text(json.dumps(summary))
    assert findings(table) == []

    without_an_add(newest)

    (finding,) = findings(table)
    assert newest.name in finding
    assert f"expected a table of {len(reader.file_uris())} files" in finding


def test_a_lost_commit_is_known_by_what_stays_beside_it(table: Path) -> None:
    for path in commits(table)[-2:]:
        path.unlink()

    assert [f"{version:020}.json" in finding for version, finding in zip((5, 6), findings(table), strict=True)] == [
        True,
        True,
    ]


def test_a_lost_commit_that_a_checkpoint_stands_for_is_named_since_spark_asks_for_it(table: Path) -> None:
    DeltaTable(table).create_checkpoint()
    summed(table / LOG / "_last_checkpoint")
    assert findings(table) == []
    newest = commits(table)[-1]
    remove(newest)
    side_file(newest).unlink(missing_ok=True)

    for every_byte in (False, True):
        found = findings(table, every_byte=every_byte)
        assert f"{newest}: expected a commit beside its checkpoint" in found[0]
        assert all(str(newest) in finding for finding in found)
