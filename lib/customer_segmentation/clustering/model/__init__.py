"""Fitted segmentations: what all of them have in common, how they score customers, how they are read again."""
