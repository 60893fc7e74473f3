"""Selection of a segmentation: exact metrics, stability, clusterability, the choice of k, comparisons."""
