"""The whole line on a small generated set: known segments in, the same segments out, every line accounted for."""

import io
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession
from rich.console import Console
from sklearn.metrics import adjusted_rand_score

from customer_segmentation.clustering import model_from_json
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import DataRejectedError, PublishingError
from customer_segmentation.pipeline import run_pipeline
from customer_segmentation.stages import ingest_sources
from customer_segmentation.stages.assign import segment_names_of
from customer_segmentation.stages.audit import audit
from customer_segmentation.stages.features import clustered_features
from tests.generated import LINES, configured, quiet
from tests.warehouse import contents, read


@pytest.fixture(scope="module")
def table(generated: Path) -> Callable[[str], pd.DataFrame]:
    return lambda name: read(generated / "tables", name)


@pytest.fixture(scope="module")
def eligible(table: Callable[[str], pd.DataFrame]) -> set[str]:
    """The customers with an order that was not given back whole, found without Spark."""
    lines, returns = table("transactions"), table("returns")
    bought = lines[~lines.is_return].groupby(["customer_id", "order_id"]).quantity.sum()
    back = returns[returns.is_matched].groupby(["customer_id", "order_id"]).quantity.sum()
    return set(bought[bought != back.reindex(bought.index).fillna(0)].reset_index().customer_id)


def test_every_eligible_customer_is_in_exactly_one_segment(
    table: Callable[[str], pd.DataFrame], eligible: set[str]
) -> None:
    segments = table("customer_segments")

    assert segments.customer_id.is_unique
    assert set(segments.customer_id) == eligible


def test_every_return_is_told_with_the_purchases_it_undoes(table: Callable[[str], pd.DataFrame]) -> None:
    lines, returns = table("transactions"), table("returns")

    assert -lines[lines.is_return].quantity.sum() == returns.quantity.sum() > 0
    assert -lines[lines.is_return].amount.sum() == returns.amount.sum()
    assert returns.is_matched.mean() > 0.9
    assert (returns[returns.is_matched].ordered_at <= returns[returns.is_matched].returned_at).all()


def test_the_true_segments_are_found_again(generated: Path, table: Callable[[str], pd.DataFrame]) -> None:
    truth = pd.read_parquet(generated / "data" / "truth_segments")

    both = table("customer_segments").merge(truth, on="customer_id")

    assert len(both) == len(table("customer_segments"))
    assert adjusted_rand_score(both.segment, both.segment_id) >= 0.9
    assert both.segment_id.nunique() == truth.segment.nunique()


def test_every_line_is_accepted_or_rejected_and_the_run_says_so(
    generated: Path, table: Callable[[str], pd.DataFrame]
) -> None:
    run = table("pipeline_runs").iloc[0]
    dirt = pd.read_parquet(generated / "data" / "truth_dirt").set_index("kind").lines

    assert run.rows_in == LINES == run.rows_accepted + run.rows_rejected
    assert run.rows_accepted == len(table("transactions"))
    assert run.rows_rejected == len(table("rejected_transactions"))
    by_reason = Counter(dict(run.rejected_by_reason))
    # Where the other lines of the order name its customer, the line is completed.
    by_reason["missing_customer"] += dict(run.warned_by_code)["customer_from_order"]
    assert sum(dirt.drop("clean")) > 0
    for kind in ("missing_customer", "missing_order", "unreadable_date", "zero_price", "absurd_quantity"):
        if dirt.get(kind):
            assert by_reason[kind] >= dirt[kind], kind  # copies of dirty lines add to it


def test_copies_that_are_let_through_are_counted(generated: Path, table: Callable[[str], pd.DataFrame]) -> None:
    run, lines = table("pipeline_runs").iloc[0], table("transactions")
    dirt = pd.read_parquet(generated / "data" / "truth_dirt").set_index("kind").lines

    warned = sum("duplicate" in codes for codes in lines.warnings)

    assert dict(run.warned_by_code)["duplicate"] == warned
    assert 0 < warned <= dirt["duplicate"]
    assert lines.line_id.duplicated().sum() == warned


def test_the_segments_revenue_is_the_customers_to_the_cent(
    table: Callable[[str], pd.DataFrame], eligible: set[str]
) -> None:
    spend, lines = sum(table("customer_features").monetary), table("transactions")

    assert spend == sum(table("segment_profiles").revenue) == sum(table("segment_transitions").revenue)
    assert spend == table("pipeline_runs").revenue[0] == sum(lines[lines.customer_id.isin(eligible)].amount)


def test_all_tables_of_a_run_agree_on_its_name(table: Callable[[str], pd.DataFrame]) -> None:
    names = {
        name: set(table(name).run_id)
        for name in (
            "customer_features",
            "customer_segments",
            "customer_segments_history",
            "segment_profiles",
            "segment_transitions",
            "pipeline_runs",
        )
    }

    assert len(set().union(*names.values())) == 1, names


def test_no_log_of_a_table_names_a_customer(generated: Path, table: Callable[[str], pd.DataFrame]) -> None:
    customers = set(table("transactions").customer_id)
    logs = [*(generated / "tables").glob("*/_delta_log/*.json"), *(generated / "tables").glob("*/_delta_log/*.crc")]

    words = {word for log in logs for word in re.split(r"[^A-Za-z0-9_-]+", log.read_text(errors="ignore"))}

    assert len(logs) > len(t.ALL_TABLES)
    assert not customers & words


def test_every_declared_column_is_there_with_its_comment(generated: Path) -> None:
    for declared in t.ALL_TABLES:
        schema = DeltaTable(str(generated / "tables" / declared.name)).schema()
        comments = {field.name: field.metadata.get("comment") for field in schema.fields}
        assert list(comments)[: len(declared.columns)] == declared.column_names
        assert [comments[column.name] for column in declared.columns] == [c.comment for c in declared.columns]


def test_ranks_are_by_spend_within_the_segment(table: Callable[[str], pd.DataFrame]) -> None:
    both = table("customer_segments").merge(table("customer_features")[["customer_id", "monetary"]], on="customer_id")

    for _, segment in both.groupby("segment_id"):
        ordered = segment.sort_values(["monetary", "customer_id"], ascending=[False, True])
        assert ordered.rank_in_segment.tolist() == list(range(1, len(segment) + 1))


def test_names_actions_and_activity_are_those_of_the_training(table: Callable[[str], pd.DataFrame]) -> None:
    profiles = table("segment_profiles").set_index("segment_id")
    model = model_from_json(table("model_runs").model.iloc[0])

    assert profiles.segment_name.to_dict() == dict(model.names)
    assert profiles.action.to_dict() == dict(model.actions)
    assert profiles.activity.to_dict() == dict(model.activities)
    assert profiles.segment_name.is_unique
    named = table("customer_segments").groupby("segment_id").segment_name.unique()
    assert {key: list(names) for key, names in named.items()} == {k: [n] for k, n in model.names.items()}


def test_a_profile_says_how_many_are_expected_to_buy(table: Callable[[str], pd.DataFrame]) -> None:
    profiles = table("segment_profiles").set_index("segment_name")

    assert profiles.expected_buyer_share.between(0, 1).all()
    assert (profiles.expected_within_days == 90).all()
    inactive = profiles[profiles.activity.isin(["lapsed", "lost"])]
    # The generated customers of one kind left in the first half of the time.
    assert len(inactive) >= 1
    overall = (profiles.expected_buyer_share * profiles.customer_share).sum()
    assert (inactive.expected_buyer_share < overall / 2).all()
    assert (inactive.overdue_share > 0.5).all()


def test_a_persons_own_name_counts_at_once(spark: SparkSession, generated: Path) -> None:
    run = quiet(spark, configured(generated, "tables", 'segments.names={"1": "My VIPs"}'))

    assert run.run_id != quiet(spark, configured(generated, "tables")).run_id
    assert run.models.newest is not None
    assert segment_names_of(run, run.models.newest)[1] == "My VIPs"
    assert segment_names_of(run, run.models.newest)[2] == run.models.newest.names[2]


def test_a_report_is_written(generated: Path, table: Callable[[str], pd.DataFrame]) -> None:
    page = (generated / "tables" / "report.html").read_text()

    assert all(name in page for name in table("segment_profiles").segment_name)
    assert not any(customer in page for customer in table("customer_segments").customer_id)


@pytest.mark.slow
def test_the_same_run_again_leaves_the_same_tables(spark: SparkSession, generated: Path) -> None:
    before = {declared.name: contents(generated / "tables", declared.name) for declared in t.ALL_TABLES}

    run_pipeline(quiet(spark, configured(generated, "tables")), Console(file=io.StringIO()))

    for name, rows in before.items():
        assert contents(generated / "tables", name) == rows, name


DAMAGES: list[tuple[str, Callable[[DeltaTable], object], str]] = [
    ("customer_segments_history", lambda table: table.delete("rank_in_segment = 2"), "customers have features, but"),
    ("customer_segments_history", lambda table: doubled(table), "customers have features, but"),
    (
        "customer_segments_history",
        lambda table: table.update({"customer_id": "'another'"}, predicate="segment_id = 1 AND rank_in_segment = 1"),
        "customers have features, but",
    ),
    ("customer_segments_history", lambda table: table.update({"segment_name": "null"}), "of its customers have no"),
    ("segment_profiles", lambda table: table.delete("segment_id = 1"), "the profiles are"),
    ("segment_profiles", lambda table: table.update({"customers": "customers + 1"}), "the profiles are"),
    ("segment_profiles", lambda table: table.update({"revenue": "revenue + 1"}), "net spend is"),
    ("segment_transitions", lambda table: table.delete("to_segment_id = 1"), "transitions"),
]


def doubled(table: DeltaTable) -> None:
    """Append a copy of a row."""
    write_deltalake(table, table.to_pyarrow_table().slice(0, 1), mode="append")


@pytest.mark.slow
def test_a_run_whose_tables_do_not_agree_is_not_published(spark: SparkSession, generated: Path, tmp_path: Path) -> None:
    root = tmp_path / "tables"
    shutil.copytree(generated / "tables", root)
    run = quiet(spark, configured(generated, "tables", f"tables.root={root}"))
    features = clustered_features(run).persist()
    assert audit(run, features)["customers"] == features.count()

    for name, damage, says in DAMAGES:
        table = DeltaTable(str(root / name))
        version = table.version()
        damage(table)
        with pytest.raises(PublishingError, match=f"is not published: .*{says}"):
            audit(run, features)
        table.restore(version)
    features.unpersist()


def test_data_that_is_mostly_rejected_stops_the_run_before_anything_changes(
    spark: SparkSession, generated: Path
) -> None:
    run = quiet(spark, configured(generated, "rejected", "checks.max_rejected_share=0.0001"))

    with pytest.raises(DataRejectedError, match=r"checks\.max_rejected_share"):
        ingest_sources(run)

    assert not run.warehouse.exists(t.TRANSACTIONS)


def test_a_mapping_that_does_not_fit_names_the_column(spark: SparkSession, generated: Path) -> None:
    run = quiet(spark, configured(generated, "unfit", "sources.transactions.columns.order_id=order_nr"))

    with pytest.raises(DataRejectedError, match="order_nr"):
        ingest_sources(run)
