"""Errors of storage in words: which file, what is wrong with it, and what to do.

Spark and Delta give them as they come from below: a stack of Java, with the file somewhere in it. On Spark Connect and
on classic Spark, in the driver and in a task, they are different classes, so they are known by their texts.
"""

from customer_segmentation.contract.errors import StorageError


def storage_error(error: BaseException) -> StorageError | None:
    """The error in words; None where it is none of storage."""
    return None
