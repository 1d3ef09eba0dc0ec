"""An error of Hydra's own in the words of this package."""

from __future__ import annotations

import re

from multimodal_lab.config.problem import Problem, not_one_of
from multimodal_lab.text import nearest


def problem_of(error: Exception, lines: list[str], known: dict[str, list[str]]) -> Problem:
    """Hydra's own error as a problem: its first sentences, the override it speaks of, the nearest one that works."""
    sentences = [s.strip() for s in str(error.__cause__ or error).splitlines() if s.strip()]
    words = " ".join(sentences[:2]) or type(error).__name__
    named = [one for one in lines if one.lstrip("+~").partition("=")[0].partition("@")[0] in words]
    key, _, value = (named or lines or ["config"])[0].partition("=")
    group = key.lstrip("+~").partition("@")[0]
    added = re.search(r"use (\+\S+)", " ".join(sentences))
    if options := list(getattr(error, "options", None) or []):
        return not_one_of(key, value, options)
    if added:
        words, near = "is not among the choices made so far; add it", added[1]
    elif "Could not delete" in words:
        near = f"{group}=none" if "none" in known.get(group, []) else f"{group}=[]"
    elif "Multiple values" in words:
        words, near = "has a choice already; change it without the +", f"{group}={value}"
    else:
        near = f"{group}={(nearest(value, known[group]) or [''])[0]}" if group in known else ""
    return Problem(key, value, words, near if near != f"{key}={value}" else "")
