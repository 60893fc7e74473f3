"""What the sources of order lines and the settings are as a run finds them."""

from collections.abc import Mapping
from functools import cached_property, partial

from customer_segmentation.config.schema import TransactionSource
from customer_segmentation.contract import tables as t
from customer_segmentation.ingest.news import Files, News, as_seen, look, news, refuse_gone
from customer_segmentation.ingest.sources import definition, digest
from customer_segmentation.stages.reading.account import Reading
from customer_segmentation.stages.reading.lines import Frames, analysed
from customer_segmentation.stages.run import Run


class Now:
    """The sources' state, looked at once so that all passes over them see the same."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._files_then: Mapping[str, Files] | None = None
        self.sources = run.sources.transactions
        self.seen = [analysed("transactions", partial(look, run.spark, source)) for source in self.sources]
        self.latest = min(filter(None, (run.config.as_of, run.config.checks.latest_order)))
        settings = run.config.checks.model_dump(mode="json", exclude={"max_rejected_share"})
        self.definition = definition(run.spark, self.sources, settings, run.config.timezone)

    @cached_property
    def batch_id(self) -> str:
        """Names what was read: the same settings and state of the sources have the same."""
        return digest([self.definition, *(dict(seen.state) for seen in self.seen)])

    def whole(self) -> Frames:
        """All rows of each source."""
        return [
            (source, analysed("transactions", partial(as_seen, self._run.spark, source, seen)))
            for source, seen in zip(self.sources, self.seen, strict=True)
        ]

    def news(self, then: Reading) -> list[News | None]:
        """What came and went in each source; None where nothing did.

        Raises:
            MustReadWholeError: a source can't tell.
            DataRefusedError: files that were read are gone, and the source's `gone_files` is refuse.
        """
        files = self._files(then)
        return [
            news(self._run.spark, source, state, files.get(str(source.path), {}), seen)
            for source, state, seen in zip(self.sources, then.sources, self.seen, strict=True)
        ]

    def refuse_gone_files(self, then: Reading) -> None:
        """Make sure that reading the sources whole loses no lines that were read of files which are gone.

        Raises:
            DataRefusedError: there are such files, and the source's `gone_files` is not remove.
        """
        files = self._files(then)
        for source, seen in zip(self.sources, self.seen, strict=True):
            if seen.files is not None and source.gone_files != "remove":
                refuse_gone(source, files.get(str(source.path), {}), seen.files)

    def write_files(self, then: Reading | None = None) -> None:
        """Keep the list of the files whose lines are in the tables, where there are some.

        Args:
            then: the reading whose lines stay; where files of it that are gone are kept, the list keeps them.
        """
        if not self.has_files:
            return
        rows = [
            (str(source.path), file, size, modified)
            for source, seen in zip(self.sources, self.seen, strict=True)
            for file, (size, modified) in {**self._kept(source, then), **(seen.files or {})}.items()
        ]
        frame = self._run.spark.createDataFrame(rows, t.INGESTED_FILES.ddl).coalesce(1)
        self._run.warehouse.overwrite(t.INGESTED_FILES, frame)

    @property
    def has_files(self) -> bool:
        """Whether a source is made of files."""
        return any(seen.files is not None for seen in self.seen)

    def versions(self) -> dict[str, int]:
        """The versions of the tables that belong to the lines, as they were last written."""
        tables = [t.REJECTED_TRANSACTIONS, *([t.INGESTED_FILES] if self.has_files else [])]
        return {table.name: self._run.warehouse.last_commit(table)[0] for table in tables}

    def _kept(self, source: TransactionSource, then: Reading | None) -> Files:
        return self._files(then).get(str(source.path), {}) if then and source.gone_files == "keep" else {}

    def _files(self, then: Reading) -> Mapping[str, Files]:
        """The files that were read, by the path of their source; looked up once."""
        if self._files_then is None:
            files: dict[str, dict[str, tuple[int, str]]] = {}
            if self.has_files and t.INGESTED_FILES.name in then.versions:
                version = then.versions[t.INGESTED_FILES.name]
                rows = self._run.warehouse.read(t.INGESTED_FILES, version=version).collect()
                for path, file, size, modified in rows:
                    files.setdefault(path, {})[file] = (size, modified)
            self._files_then = files
        return self._files_then
