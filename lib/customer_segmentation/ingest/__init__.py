"""Sources to canonical tables: read, map, check; refused lines keep their reasons."""
