"""Files that come in batches, and whether what was made of them is what all files together give."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from customer_segmentation.stages import Run, ingest_sources
from tests.warehouse import contents

COLUMNS = {"customer_id": "who", "order_id": "no", "ordered_at": "at", "amount": "pay", "quantity": "1"}


def order(no: int, **more: Any) -> dict[str, Any]:
    return {"who": f"C{no % 3}", "no": no, "at": f"2024-01-{no % 28 + 1:02} 10:00:00", "pay": 5.5, **more}


def wrote(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def as_json(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def assert_as_if_read_anew(tmp_path: Path, run_of: Callable[..., Run], **source: Any) -> None:
    ingest_sources(run_of(root="anew", **source))
    for table in ("transactions", "rejected_transactions"):
        left, right = (
            contents(tmp_path / root, table, without=["batch_id", "ingested_at", "row"]) for root in ("tables", "anew")
        )
        assert left == right, table
