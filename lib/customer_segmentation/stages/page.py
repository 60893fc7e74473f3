"""Where the pages for people go."""

from pathlib import Path

from customer_segmentation.stages.run import Run


def write_page(run: Run, configured: str | None, name: str, page: str) -> Path:
    """Write a page and return its path: the configured file, else `name` in the folder of the tables.

    Where they are in no folder of this machine, it is the folder that the command was started in.

    Args:
        configured: path of the file, if the configuration names one.
        name: of the file otherwise.
        page: the whole HTML text.
    """
    path = Path(configured) if configured is not None else (run.warehouse.folder or Path()) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path
