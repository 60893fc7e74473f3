"""Where the pages for people go."""

from pathlib import Path

from customer_segmentation.stages.run import Run
from customer_segmentation.storage import local_root


def write_page(run: Run, configured: str | None, name: str, page: str) -> Path:
    """Write a page and return its path: the configured file, else `name` in the folder of the tables, or here.

    Args:
        configured: path of the file, if the configuration names one.
        name: of the file otherwise.
        page: the whole HTML text.
    """
    path = Path(configured) if configured is not None else (local_root(run.config.tables) or Path()) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path
