"""Sources to canonical tables: read, map, validate; rejected lines keep their reasons."""
