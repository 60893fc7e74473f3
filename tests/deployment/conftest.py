"""Generated data, and the tables of a run over it in local mode, for those of other places to be compared with."""

import sys
from pathlib import Path

import pytest

from tests.deployment.places import settings, started, without_the_library


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("places") / "data"
    started([sys.executable, "-m", "customer_segmentation", "generate", *settings(folder, folder)])
    return folder


@pytest.fixture(scope="session")
def local(data: Path) -> Path:
    root = data.parent / "local"
    started([sys.executable, "-m", "customer_segmentation", "run", *settings(data, root)])
    return root


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return without_the_library(tmp_path_factory.mktemp("bare") / "venv")
