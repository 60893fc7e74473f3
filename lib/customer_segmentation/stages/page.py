"""Where the pages for people go."""

from pathlib import Path

from customer_segmentation.stages.run import Run


def write_page(run: Run, configured: str | None, name: str, page: str) -> Path:
    """Write a page and return its path: the configured file, else `name` in the tables' root, or here if that is far.

    Args:
        configured: path of the file, if the configuration names one.
        name: of the file otherwise.
        page: the whole HTML text.
    """
    root = run.config.tables.root
    if configured is not None:
        path = Path(configured)
    elif root is None or "://" in root:
        path = Path(name)
    else:
        path = Path(root) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path
