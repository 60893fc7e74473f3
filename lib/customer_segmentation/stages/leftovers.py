"""Files of customers that belong to no table: what a first write that was killed left."""

import shutil

from customer_segmentation.contract import tables as t
from customer_segmentation.stages.run import Run
from customer_segmentation.stages.table_versions import TableVersions
from customer_segmentation.storage import local_root


def remove_leftovers(run: Run) -> None:
    """Delete the files of tables that were never made, where the tables are in a folder of this machine.

    Such a table has no commit, and no command has recorded one: the files of a table whose log was lost stay, since
    they may be wanted back.
    """
    root = local_root(run.config.tables)
    if root is None:
        return
    recorded = TableVersions(run).recorded()
    for table in t.KNOWN_TABLES:
        folder = root / table.name
        has_commit = any(folder.glob("_delta_log/*.json")) or any(folder.glob("_delta_log/*.parquet"))
        if folder.is_dir() and table.name not in recorded and not has_commit:
            shutil.rmtree(folder)
