"""Rounds the numbers of a fit, so that the order in which doubles were added leaves no trace."""

from typing import Any

import numpy as np


def rounded(values: Any) -> np.ndarray:
    """To nine significant digits: what differs beyond them is the order in which doubles were added."""
    return np.array([float(f"{value:.9g}") for value in np.ravel(values)]).reshape(np.shape(values))
