"""Studies: the design of arms, seeds, splits and controls, their ledger, and the analysis of their predictions."""
