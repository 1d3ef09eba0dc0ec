"""The ledger: what has become of every cell."""
