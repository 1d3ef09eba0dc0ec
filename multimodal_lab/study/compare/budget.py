"""How long a study may take (`study.budget`)."""

from __future__ import annotations

import re

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: str) -> float | None:
    """The seconds of 45s, 30m, 1.5h, 2d or 1h30m; None for any other text, and for none at all."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if not parts or "".join(n + u for n, u in parts) != text.strip():
        return None
    total = sum(float(n) * UNITS[u] for n, u in parts)
    return total or None


def told(total: float) -> str:
    """A time as a person says it: 40 s, 12 min, 3.5 h, 2.1 days."""
    if total < 90:
        return f"{total:.0f} s"
    if total < 90 * 60:
        return f"{total / 60:.0f} min"
    return f"{total / 3600:.1f} h" if total < 48 * 3600 else f"{total / 86400:.1f} days"
