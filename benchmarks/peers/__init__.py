"""Programs that do what users do without this library: each a process of its own, as simple as they are written."""
