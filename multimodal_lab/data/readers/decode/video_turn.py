"""How a video says that its frames are shown: turned by right angles, mirrored, or as they are stored."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from multimodal_lab.data.readers.decode import Refused

Turn = tuple[bool, bool, bool]  # see `upright`
FLAT = 0.01  # of the matrix' largest entry: what is smaller is 0, as headers round


class Shown:
    """How the frames of one video are shown, one after another.

    The matrix is looked at where it may change: at the first frame, at key frames, and where the angle is another one than
    before. To look at that of a frame takes a sixth of the time in which a small one is decoded.
    """

    def __init__(self) -> None:
        self.how: Turn | None = None
        self.angle = 0

    def of(self, frame: Any) -> Turn:
        """`upright` of the frame."""
        if self.how is None or frame.key_frame or frame.rotation != self.angle:
            self.how, self.angle = upright(frame), frame.rotation
        return self.how


def upright(frame: Any) -> Turn:
    """(transposed, then mirrored left to right, then upside down): what brings a stored plane to how it is shown.

    The display matrix of FFmpeg sends a pixel (p, q), right and down, to (a p + c q, b p + d q); only its directions count, as
    its scale is the shape of a pixel. `Refused` for one that turns by other than right angles, or shears.
    """
    import av.sidedata.sidedata as sidedata

    matrix = frame.side_data.get(sidedata.Type.DISPLAYMATRIX)
    if matrix is None:
        return False, False, False
    a, b, _, c, d = struct.unpack("=9i", bytes(matrix)[:36])[:5]
    least = FLAT * max(map(abs, (a, b, c, d)))
    if max(abs(b), abs(c)) <= least < min(abs(a), abs(d)):
        return False, a < 0, d < 0
    if max(abs(a), abs(d)) <= least < min(abs(b), abs(c)):
        return True, c < 0, b < 0
    turned = float(np.degrees(np.arctan2(b, a)))
    raise Refused(
        f"its header says that frames are shown turned by {turned:.3g} degrees, or sheared; expected a multiple of 90, mirrored "
        "or not"
    )


def turned(plane: np.ndarray, how: Turn) -> np.ndarray:
    """A plane (H, W) as it is shown, a view."""
    transposed, left, down = how
    x = plane.T if transposed else plane
    return x[:: -1 if down else 1, :: -1 if left else 1]
