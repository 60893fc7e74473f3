"""Benchmarks: each measures the library against a peer in the same run, prints a table and writes its figures."""
