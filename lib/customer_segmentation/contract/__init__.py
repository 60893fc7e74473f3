"""What the rest of the library and its users hold on to: column names, tables, features, errors."""
