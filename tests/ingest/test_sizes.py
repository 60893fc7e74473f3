"""The size of what is configured as sources."""

from pathlib import Path

from customer_segmentation.config.schema import Sources
from customer_segmentation.ingest.paths import size_here

COLUMNS = {"customer_id": "c", "order_id": "o", "ordered_at": "t", "quantity": "q", "unit_price": "p"}


def sources(folder: Path, **more: object) -> Sources:
    return Sources.model_validate(
        {"transactions": {"format": "csv", "path": str(folder / "in"), "columns": COLUMNS, **more}}
    )


def test_the_size_of_sources_is_that_of_all_their_files(tmp_path: Path) -> None:
    (tmp_path / "in" / "day").mkdir(parents=True)
    (tmp_path / "in" / "one.csv").write_bytes(b"x" * 100)
    (tmp_path / "in" / "day" / "two.csv").write_bytes(b"x" * 20)
    (tmp_path / "names.csv").write_bytes(b"x" * 3)
    joins = [{"format": "csv", "path": str(tmp_path / "*.csv"), "using": ["c"]}]

    assert size_here(sources(tmp_path)) == 120
    assert size_here(sources(tmp_path, joins=joins)) == 123
    assert size_here(sources(tmp_path, path=str(tmp_path / "in" / "*.csv"))) == 100


def test_the_size_of_files_that_are_archived_once_they_are_read_is_that_of_those_still_there(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    pattern = str(tmp_path / "in" / "*.csv")

    assert size_here(sources(tmp_path, path=pattern, missing_files="keep")) == 0
    assert size_here(sources(tmp_path, path=pattern)) is None
    assert size_here(sources(tmp_path, path=str(tmp_path / "out" / "*.csv"), missing_files="keep")) is None


def test_the_size_of_what_is_elsewhere_is_not_known(tmp_path: Path) -> None:
    assert size_here(sources(tmp_path, path="s3://lake/orders")) is None
    assert size_here(sources(tmp_path, path=str(tmp_path / "of another machine"))) is None
    assert size_here(sources(tmp_path, path=None, table="shop.orders", format="delta")) is None
    assert size_here(sources(tmp_path, joins=[{"table": "shop.names", "format": "delta", "using": ["c"]}])) is None
