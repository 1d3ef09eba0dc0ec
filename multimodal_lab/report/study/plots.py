"""The figures of a study's report as SVG and PDF, byte-identical for the same study."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence, Sized
from pathlib import Path
from typing import Any

from multimodal_lab import files
from multimodal_lab.report.study import calibration
from multimodal_lab.report.study.question import question

FORMATS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("svg", {"Date": None, "Creator": None}), ("pdf", {"CreationDate": None, "Creator": None, "Producer": None})
)  # fmt: skip
PANEL, WHOLE = 2.9, 7.0  # inches: of a label among several, and the least of all together


def draw(folder: Path, made: Mapping[str, Any]) -> dict[str, list[Path]]:
    """{name: [svg, pdf]} of arms, gains, shapley, missing, acquire, retrained, reliability: those that there is something for."""
    labels = {k: v for k, v in made["labels"].items() if v["arms"]}
    found = {}
    if labels:
        found["arms"] = _save(folder, "arms", _arms(labels))
    gains = {k: _differences(v) for k, v in labels.items()}
    if any(gains.values()):
        by = {k: v["score"] for k, v in labels.items()}
        found["gains"] = _save(folder, "gains", _gains(gains, by, question(made).over))
    if made.get("subsets"):
        found["shapley"] = _save(folder, "shapley", _shapley(made["subsets"]))
        found["missing"] = _save(folder, "missing", _missing(made["subsets"]))
    curves = [(label, a) for label, own in labels.items() for a in own["acquire"]]
    if curves:
        found["acquire"] = _save(folder, "acquire", _acquire(curves))
    if made.get("retrained"):
        found["retrained"] = _save(folder, "retrained", _shapley(made["retrained"]))
    if (reliability := calibration.draw(made)) is not None:
        found["reliability"] = _save(folder, "reliability", reliability)
    return found


def _arms(labels: Mapping[str, Any]) -> Any:
    from multimodal_lab.report import style

    names = list(dict.fromkeys(arm for own in labels.values() for arm in own["arms"]))
    with style.look():
        figure, axes = style.panels(1, len(labels), _width(labels), 0.6 + 0.27 * len(names))
        for ax, (label, own) in zip(axes[0], labels.items(), strict=True):
            for i, arm in enumerate(names):
                if a := own["arms"].get(arm):
                    colour = style.GREY if a["role"] == "control" else style.colour(_place(names, arm, labels))
                    _bar(ax, a, i, colour)
            if own["chance"] is not None:
                ax.axvline(own["chance"], color=style.GREY, lw=0.8, ls=":")
            _rows(ax, names if ax is axes[0][0] else [""] * len(names))
            ax.set_title(style.short(label))
            ax.set_xlabel(f"{own['metric']}, dotted: chance")
    return figure


def _differences(own: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any], Sequence[float], bool]]:
    """(name, mean and interval, a mean for each seed, control) of every arm minus the better baseline."""
    found: list[tuple[str, Mapping[str, Any], Sequence[float], bool]] = []
    for c in (c for c in own["comparisons"] if c["better"]):
        found.append((c["arm"], c["gain"], c["by_seed"], False))
        found += [(k["arm"], k["gain"], (), True) for k in c["controls"]]
    return found


def _gains(gains: Mapping[str, Sequence[Any]], by: Mapping[str, Mapping[str, Any]], over: str) -> Any:
    from multimodal_lab.report import style

    names = list(dict.fromkeys(name for own in gains.values() for name, *_ in own))
    with style.look():
        figure, axes = style.panels(1, len(gains), _width(gains), 0.6 + 0.27 * len(names))
        for ax, (label, own) in zip(axes[0], gains.items(), strict=True):
            points = by[label]["unit"] == "points"
            scale = 100 if points else 1
            margin = scale * by[label]["margin"]
            ax.axvspan(-margin, margin, color="#0072B2", alpha=0.08, lw=0)
            ax.axvline(0, color=style.GREY, lw=0.8)
            for name, gain, seeds, control in own:
                i = names.index(name)
                shade = style.GREY if control else style.INK
                _bar(ax, {k: None if gain[k] is None else scale * gain[k] for k in ("mean", "low", "high")}, i, shade)
                ax.plot([scale * s for s in seeds], [i + 0.22] * len(seeds), "o", ms=2.5, color=shade, alpha=0.5)
            _rows(ax, names if ax is axes[0][0] else [""] * len(names))
            ax.set_title(style.short(label))
            ax.set_xlabel(f"points over {style.short(over)}" if points else f"gain over {style.short(over)}")
    return figure


def _shapley(subsets: Mapping[str, Any]) -> Any:
    from multimodal_lab.report import style

    names = list(dict.fromkeys(n for own in subsets.values() for n in own["shapley"]))
    with style.look():
        figure, axes = style.panels(1, len(subsets), _width(subsets), 0.9 + 0.32 * len(names))
        for ax, (label, own) in zip(axes[0], subsets.items(), strict=True):
            ax.axvline(0, color=style.GREY, lw=0.8)
            for i, name in enumerate(names):
                if v := own["shapley"].get(name):
                    ax.barh(i, v["mean"], color=style.colour(i), alpha=0.6, height=0.6)
                    _bar(ax, v, i, style.INK)
            _rows(ax, names if ax is axes[0][0] else [""] * len(names))
            ax.set_title(style.short(label))
            ax.set_xlabel("Shapley value")
    return figure


def _missing(subsets: Mapping[str, Any]) -> Any:
    from multimodal_lab.report import style

    with style.look():
        figure, axes = style.panels(1, 1, 4.2, 3.0)
        ax = axes[0][0]
        for i, (label, own) in enumerate(subsets.items()):
            x, mean = ([c[k] for c in own["curve"]] for k in ("present", "mean"))
            ax.fill_between(
                x, *([c[k] for c in own["curve"]] for k in ("low", "high")), color=style.colour(i), alpha=0.12, lw=0
            )
            ax.plot(x, mean, style.marker(i) + "-", color=style.colour(i), label=style.short(label))
        ax.set_xticks(x)
        ax.set_xlabel("modalities present (band: worst to best subset)")
        ax.set_ylabel("score")
        ax.legend(fontsize=8)
    return figure


def _acquire(curves: Sequence[tuple[str, Mapping[str, Any]]]) -> Any:
    from multimodal_lab.report import style

    with style.look():
        across = min(2, len(curves))
        figure, axes = style.panels(-(-len(curves) // across), across, WHOLE / across, 2.6)
        for ax in axes.flat[len(curves) :]:
            ax.set_axis_off()
        for ax, (label, a) in zip(axes.flat, curves, strict=False):
            x = [100 * p["share"] for p in a["curve"]]
            for i, (key, name, line) in enumerate(
                (("doubt", f"least sure by {a['over']}", "-"), ("random", "random", ":"), ("oracle", "oracle", "--"))
            ):
                ax.plot(
                    x,
                    [p[key] for p in a["curve"]],
                    line,
                    color=style.GREY if i else style.INK,
                    lw=1.4,
                    label=style.short(name),
                )
            known = [p for p in a["curve"] if p["low"] is not None and p["high"] is not None]
            ax.fill_between([100 * p["share"] for p in known], [p["low"] for p in known], [p["high"] for p in known],
                            color=style.INK, alpha=0.12, lw=0)  # fmt: skip
            ax.axhline(a["curve"][-1]["doubt"] - a["margin"], color=style.GREY, lw=0.6)
            ax.set_title(style.short(f"{label}: {' and '.join(a['added'])} beside {a['over']}"))
            ax.set_xlabel("% that have it; line: all, less the margin")
            ax.set_ylabel("accuracy")
            ax.legend(fontsize=7, loc="lower right")
    return figure


def _width(labels: Sized) -> float:
    """Inches of a label's panel: a few labels share the whole width."""
    return max(PANEL, WHOLE / len(labels))


def _bar(ax: Any, x: Mapping[str, Any], row: int, colour: str) -> None:
    if x["mean"] is None:
        return
    if x["low"] is not None and x["high"] is not None:
        ax.plot([x["low"], x["high"]], [row, row], "-", color=colour, lw=1.6, solid_capstyle="butt")
    ax.plot([x["mean"]], [row], "o", color=colour, ms=4.5)


def _rows(ax: Any, names: Sequence[str]) -> None:
    from multimodal_lab.report import style

    ax.set_yticks(range(len(names)), [style.short(n) for n in names])
    ax.set_ylim(len(names) - 0.4, -0.6)


def _place(names: Sequence[str], arm: str, labels: Mapping[str, Any]) -> int:
    controls = {a for own in labels.values() for a, facts in own["arms"].items() if facts["role"] == "control"}
    return [n for n in names if n not in controls].index(arm)


def _save(folder: Path, name: str, figure: Any) -> list[Path]:
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with plt.rc_context({"svg.hashsalt": "multimodal_lab", "svg.fonttype": "path"}):
        for suffix, metadata in FORMATS:
            made = io.BytesIO()
            figure.savefig(made, format=suffix, metadata=metadata)
            paths.append(folder / f"{files.named(name)}.{suffix}")
            files.write_bytes(paths[-1], made.getvalue())
    plt.close(figure)
    return paths
