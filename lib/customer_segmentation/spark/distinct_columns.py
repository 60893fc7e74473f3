"""Names of a frame that stand for one column each, as Spark compares names."""

from collections.abc import Iterable

from pyspark.sql import DataFrame

from customer_segmentation.contract.errors import DataRejectedError
from customer_segmentation.spark.settings import setting


def require_distinct_columns(caller: str, frame: DataFrame, names: Iterable[str] | None = None) -> None:
    """Reject a frame in which one of these names, by default any, stands for several columns."""
    present = frame.columns
    folded = [name.lower() for name in present]
    wanted = set(folded) if names is None else {name.lower() for name in names}
    repeated = [name for name, low in zip(present, folded, strict=True) if low in wanted and folded.count(low) > 1]
    if not repeated:
        return
    if len(set(repeated)) == len(repeated) and setting(frame.sparkSession, "spark.sql.caseSensitive") == "true":
        return
    raise DataRejectedError(
        f"{caller}: the columns {', '.join(repeated)} have the same name, upper and lower case aside, so they "
        "can't be distinguished; rename or drop all but one"
    )
