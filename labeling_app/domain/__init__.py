"""Plain Python: agreement, consensus, choosing, keys. No Django."""
