"""The overrides that make a run small enough for a test."""

SMALL = [
    "data.source.individuals=64", "data.source.size=16", "data.source.species=4", "data.split.stratify=species",
    "data.batch_size=16", "backbone.widths=[8,16]", "log=none", "figures=[]", "train.epochs=5",
]  # fmt: skip
