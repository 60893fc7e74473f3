"""What the files of one batch are read as: the same as when they are read together with all files before them."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from customer_segmentation.contract.errors import DataRejectedError
from customer_segmentation.ingest import sniffing
from customer_segmentation.stages import Run, ingest_sources
from customer_segmentation.stages.changes import changed_transactions
from customer_segmentation.stages.ingest import committed_batch, load_order_lines
from customer_segmentation.stages.ingest.batch_log import PLANNED, read_log
from tests.ingest.batches import COLUMNS, as_json, assert_as_if_read_anew, order, wrote
from tests.warehouse import read


@pytest.mark.slow
def test_a_batch_of_json_is_read_with_the_columns_that_its_values_do_not_show(
    tmp_path: Path, run_of: Callable[..., Run]
) -> None:
    source = {"format": "json", "columns": {**COLUMNS, "channel": "meta.channel"}}
    wrote(tmp_path / "in" / "1.json", as_json(order(1, meta={"channel": "web"}), order(2, meta={"channel": "store"})))
    ingest_sources(run_of(**source))
    wrote(tmp_path / "in" / "2.json", as_json(order(3, meta=None)) + '{"who": "C1", "no": 4, "at"')
    ingest_sources(run_of(**source))
    wrote(tmp_path / "in" / "3.json", '{"who": "C2", "no": 5')
    wrote(tmp_path / "in" / "4.json", as_json(order(6, meta={"page": "home"})))
    ingest_sources(run_of(**source))

    batch = committed_batch(run_of(**source))
    assert (batch.mode, batch.counts.accepted) == ("incremental", 4)
    assert batch.counts.by_reason["malformed_line"] == 2
    assert_as_if_read_anew(tmp_path, run_of, **source)


@pytest.mark.slow
def test_json_over_several_lines_is_not_guessed_of_files_that_are_not_looked_at(
    tmp_path: Path, run_of: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sniffing, "_MAX_FILES", 1)
    for no in (1, 2):
        wrote(tmp_path / "in" / f"{no}.json", json.dumps([order(no)], indent=2))

    with pytest.raises(DataRejectedError, match=r"1\.json has JSON over several lines.*set options\.multiLine"):
        load_order_lines(run_of(format="json"))
    load_order_lines(run_of(format="json", options={"multiLine": True}))


@pytest.mark.slow
def test_a_parquet_batch_may_have_other_numbers_but_not_lack_a_column_that_each_line_needs(
    tmp_path: Path, run_of: Callable[..., Run]
) -> None:
    (tmp_path / "in").mkdir()
    rows = pd.DataFrame([order(1) | {"who": 11}, order(2) | {"who": 12}])
    rows.to_parquet(tmp_path / "in" / "1.parquet")
    ingest_sources(run_of())
    gap = pd.DataFrame([order(3) | {"who": 11}, order(4) | {"who": None}])
    assert gap.who.dtype == "float64"
    gap.to_parquet(tmp_path / "in" / "2.parquet")
    ingest_sources(run_of())

    assert committed_batch(run_of()).mode == "incremental"
    assert committed_batch(run_of()).counts.by_reason == {"missing_customer": 1}
    assert_as_if_read_anew(tmp_path, run_of)
    rows.rename(columns={"who": "customer"}).assign(no=[8, 9]).to_parquet(tmp_path / "in" / "3.parquet")
    with pytest.raises(DataRejectedError, match="who"):
        ingest_sources(run_of())


@pytest.mark.slow
def test_a_value_in_the_name_of_a_folder_is_the_same_whatever_lies_beside_it(
    tmp_path: Path, run_of: Callable[..., Run]
) -> None:
    source = {"format": "csv", "columns": {**COLUMNS, "store_id": "store"}}

    def deliver(store: str, no: int) -> None:
        wrote(tmp_path / "in" / f"store={store}" / f"{no}.csv", f"who,no,at,pay\nC1,{no},2024-01-01 10:00:00,5\n")

    for no, store in enumerate(["001", "002"]):
        deliver(store, no)
    ingest_sources(run_of(**source))
    for no, store in enumerate(["001", "W7"], start=2):
        deliver(store, no)
    ingest_sources(run_of(**source))

    assert set(read(tmp_path / "tables", "transactions").store_id) == {"001", "002", "W7"}
    assert committed_batch(run_of(**source)).mode == "incremental"
    assert_as_if_read_anew(tmp_path, run_of, **source)


@pytest.mark.slow
def test_attempts_that_ended_early_do_not_hide_what_was_read(tmp_path: Path, run_of: Callable[..., Run]) -> None:
    source = {"format": "csv", "path": str(tmp_path / "in" / "*.csv"), "missing_files": "keep"}
    wrote(tmp_path / "in" / "1.csv", "who,no,at,pay\nC1,1,2024-01-01 10:00:00,5\n")
    ingest_sources(run_of(**source))
    run = run_of(**source)
    log, batch = read_log(run), committed_batch(run)
    log.record(*(replace(batch, number=batch.number + 1 + i, status=PLANNED) for i in range(45)))
    (tmp_path / "in" / "1.csv").unlink()

    again, messages = load_order_lines(run_of(**source))

    assert (again.number, messages) == (batch.number, ["nothing new"])
    assert read_log(run_of(**source)).next_number == batch.number + 46
    wrote(tmp_path / "in" / "2.csv", "who,no,at,pay\nC1,2,2024-01-02 10:00:00,5\n")
    ingest_sources(run_of(**source))
    last = committed_batch(run_of(**source))
    assert (last.mode, last.counts.accepted) == ("incremental", 2)

    assert not isinstance(changed_transactions(run_of(**source), since=batch.number, until=last.number), str)
    shutil.rmtree(tmp_path / "tables" / "ingest_changes")
    lost = changed_transactions(run_of(**source), since=batch.number, until=last.number)
    assert lost == f"what batch {last.number} changed is no longer on record"
