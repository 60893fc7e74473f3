"""What all estimators have in common: their parameters, and the points that a fit sees."""
