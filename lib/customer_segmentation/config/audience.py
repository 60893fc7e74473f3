"""Which customers are exported to a file, and what of them, as a person asks for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from customer_segmentation.config.expressions import check_expression
from customer_segmentation.contract.errors import ConfigurationError

FileFormat = Literal["csv", "parquet"]


@dataclass(frozen=True)
class Audience:
    """Who is exported, and what of them.

    path: the file that they go to.
    format: of the file; None: what its name ends in.
    segments: names or numbers of segments; none: all customers.
    where: a Spark SQL condition over a customer's columns; None: all customers.
    columns: names of columns; none: those of `customer_segments`, but for nested ones in a CSV file.
    limit: at most so many customers of each segment, the highest ranked, 1 or more; None: all.

    Raises:
        ConfigurationError: the format is not known, the condition is no expression over a row, or the limit is below 1.
    """

    path: Path
    format: FileFormat | None = None
    segments: Sequence[str] = ()
    where: str | None = None
    columns: Sequence[str] = ()
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.format is None and self.path.suffix[1:].lower() not in get_args(FileFormat):
            raise ConfigurationError(
                f"--output {self.path}: its name ends in neither .csv nor .parquet; name it so, or say --format csv"
            )
        if self.path.is_dir():
            raise ConfigurationError(f"--output {self.path}: is a folder; name a file")
        if self.limit is not None and self.limit < 1:
            raise ConfigurationError(f"--limit {self.limit}: must be 1 or more")
        if self.where is not None:
            try:
                check_expression(self.where)
            except ValueError as error:
                raise ConfigurationError(f"--where {self.where!r:.100} {error}") from None

    @property
    def file_format(self) -> FileFormat:
        """The file's format."""
        return self.format or ("csv" if self.path.suffix.lower() == ".csv" else "parquet")
