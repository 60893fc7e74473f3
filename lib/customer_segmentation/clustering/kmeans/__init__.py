"""K-means and bisecting k-means: estimators by MLlib, their model of centres, its refinement on all customers."""
