"""`python -m customer_segmentation`: the command line."""

from customer_segmentation.cli import entry_point

if __name__ == "__main__":
    entry_point()
