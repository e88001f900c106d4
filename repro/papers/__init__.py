"""Published papers as data: views, tables, rows, cells."""
