"""Rules of heads that tell every pixel of a map: what they read is a grid, and what they tell is a map."""

from __future__ import annotations

from collections.abc import Iterator

from multimodal_lab.config.facts import fact
from multimodal_lab.config.kind_facts import fact as kind_fact
from multimodal_lab.config.problem import Problem
from multimodal_lab.config.rules.wiring import Tree, backbones, file_of, heads, key_of, of_head, streams, target
from multimodal_lab.config.suggest import choices


def grids(tree: Tree) -> Iterator[Problem]:
    """A head of pixels reads backbones that give grids, and of a fusion one that keeps them."""
    for name, node in heads(tree).items():
        if not of_head(node, "per_pixel", False):
            continue
        key, reads = key_of(tree, name), node.get("input")
        if reads == "fused":
            kept = fact(target(tree["fusion"]), "keeps_grid", ())
            if "fused" not in kept:
                able = choices("fusion", lambda other: "fused" in fact(target(other), "keeps_grid", ()))
                alone = ", ".join([f"{key}.input=null", *(f"{key}.input={s}" for s in streams(tree))])
                expects = (
                    f"head={name} reads a grid of places, and fusion={file_of(tree['fusion'])} gives one vector a sample; "
                    f"choose a fusion that keeps the grid ({', '.join(able)}), or {alone}"
                )
                yield Problem(f"{key}.input", reads, expects, f"{key}.input=null")
                continue
        for stream in [str(reads)] if reads in streams(tree) else [*streams(tree)]:
            own = backbones(tree)[stream]
            if target(own).startswith("multimodal_lab.") and not fact(target(own), "grid", False):
                others = [s for s in streams(tree) if s != stream]
                giving = ", ".join(choices("backbone", lambda other: bool(fact(target(other), "grid", False)))[:4])
                near = f"{key}.input={others[0]}" if others else ""
                expects = (
                    f"head={name} reads a grid of places, and the backbone of {stream} gives none; choose {giving}, …"
                )
                yield Problem(
                    f"backbones.{stream}" if len(streams(tree)) > 1 else "backbone", file_of(own), expects, near
                )


def finer_of_cached(tree: Tree) -> Iterator[Problem]:
    """Cached features hold grids, and no finer maps."""
    for name, node in heads(tree).items():
        if (
            of_head(node, "per_pixel", False)
            and node.get("finer", "none") != "none"
            and target(tree.get("cache") or {})
        ):
            key = f"{key_of(tree, name)}.finer"
            yield Problem(key, node["finer"], "cache=features keeps no finer maps of the backbones", f"{key}=none")


def maps(tree: Tree) -> Iterator[Problem]:
    """A head of pixels tells a map, and no other head does."""
    roles = {n: s.get("kind", "image") for n, s in tree["modality"].items() if s.get("role") == "target"}
    there = [n for n, kind in roles.items() if kind_fact(kind, "pixelwise")]
    for name, node in heads(tree).items():
        label, key = node.get("label"), f"{key_of(tree, name)}.label"
        if of_head(node, "per_pixel", False) and label not in there:
            said = f"it has {', '.join(there)}" if there else "it has none: a stream of kind: map and role: target"
            yield Problem(
                key, label, f"head={name} tells a map of the modality; {said}", f"{key}={there[0]}" if there else ""
            )
        elif not of_head(node, "per_pixel", False) and label in there:
            yield Problem(key, label, f"is a map, one value a pixel, which head={name} can't tell", "head=segment")


GRID_RULES = (grids, finer_of_cached, maps)
