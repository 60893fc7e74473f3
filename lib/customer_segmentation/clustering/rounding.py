"""Takes off what the order of additions adds: sums of doubles differ in their last digits from run to run."""

import numpy as np

DIGITS = 9


def rounded(values: np.ndarray) -> np.ndarray:
    """To nine significant digits: what differs beyond them is the order in which doubles were added."""
    return np.array([float(f"{value:.{DIGITS}g}") for value in np.ravel(values)]).reshape(np.shape(values))


def rounded_number(value: float) -> float:
    """One number to nine significant digits."""
    return float(f"{value:.{DIGITS}g}")
