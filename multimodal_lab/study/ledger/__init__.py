"""The ledger: the state of every cell."""
