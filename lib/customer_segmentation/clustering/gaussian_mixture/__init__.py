"""Gaussian mixtures: the estimator, expectation maximisation from a given start, the model."""
