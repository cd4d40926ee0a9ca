"""The data sets' file formats: each reader gives examples, and keeps aside the lines that it cannot read."""
