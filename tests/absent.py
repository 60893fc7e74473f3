"""What a test needs that is not there: a reason to skip it, and to fail where all has to be there."""

import os
from typing import NoReturn

import pytest


def absent(message: str) -> NoReturn:
    """Skip the test that is running; fail it in CI, where `CI` is true."""
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
