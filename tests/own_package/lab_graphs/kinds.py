"""Two kinds of data: graphs of any size, padded to `length` nodes, and counts, which are scaled by their logarithm."""

import numpy as np

from multimodal_lab.data.array import Array
from multimodal_lab.data.kind import Kind, Learner
from multimodal_lab.data.source import DataError


class Graph(Kind):
    """Stored: types (n,) of the nodes from 0 on, and edges (m, 2). Finished: (L, 1 + L) int64, type + 1 and adjacency."""

    integer = True
    keys = ("length",)
    default_backbone = "graph"

    def check(self, samples, name, x, raw):
        """No more nodes than there is room for, no edge that leads out."""
        types, edges = x
        room = samples.plans[name].length
        if not 0 < len(types) <= room:
            raise DataError(f"stream {name}: {len(types)} nodes, expected 1 to modality.{name}.length={room}")
        if len(edges) and edges.max() >= len(types):
            raise DataError(f"stream {name}: an edge to node {edges.max()}, there are {len(types)}")

    def finish(self, samples, raw, name):
        """Padded."""
        found = raw.inputs[name]
        if found is None:
            return None, None
        types, edges = found
        out = np.zeros((samples.plans[name].length, 1 + samples.plans[name].length), dtype=np.int64)
        out[: len(types), 0] = types + 1
        out[edges[:, 0], 1 + edges[:, 1]] = out[edges[:, 1], 1 + edges[:, 0]] = 1
        return out, None

    def learner(self, samples, name, train):
        """The types that the training split has."""
        return Types(samples, name)

    def shape(self, stream):
        """(L, 1 + L)."""
        return (stream.length, 1 + stream.length)


class Types(Learner):
    """Counts the types of nodes."""

    def add(self, raw):
        """Of one graph."""
        if (found := raw.inputs[self.name]) is not None:
            fitted = self.samples.fitted[self.name]
            fitted.vocab = max(fitted.vocab or 0, 2 + int(found[0].max()))


class Counts(Array):
    """(C,) counts, taken as log(1 + x) whatever `data.scaling` says; normalised as other bands are."""

    def finish(self, samples, raw, name):
        """Without the run's scaling."""
        x = raw.inputs[name]
        return (None, None) if x is None else (np.log1p(x).astype(np.float32), None)
