"""The operations, one noun per file; each module's ``OPERATIONS`` is its table."""
