"""Studies: arms, seeds, splits and controls as cells of one directory, a ledger of them, and what they predicted."""
