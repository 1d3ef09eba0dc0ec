"""Check the roles of arms: controls match their arm's capacity, baselines have one modality, all are judged alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from multimodal_lab.config.facts import fact
from multimodal_lab.config.problem import Problem, show
from multimodal_lab.config.rules.wiring import backbones, scored, target, told
from multimodal_lab.config.study import Study
from multimodal_lab.config.study_lines import under
from multimodal_lab.config.suggest import choices
from multimodal_lab.runs.hashes import BOOKKEEPING, flat
from multimodal_lab.study.design.cells import inputs

Tree = Mapping[str, Any]
MAY_CHANGE = {"shuffled": "data.shuffle", "duplicate": "modality"}


def problems(study: Study, plain: Mapping[str, Tree]) -> Iterator[Problem]:
    """What no baseline, control or judgement of a study may be; `plain` has one config an arm, controls among them."""
    yield from _judgement(study, plain)
    if study.compares == "methods":
        yield from _same_modalities(study, plain)
        return
    for arm in study.baselines:
        if len(own := inputs(plain[arm])) != 1:
            what = f"{arm} has {len(own)} inputs, {', '.join(own)}: expected one, a baseline is a single modality"
            yield Problem("study.baselines", arm, what)
        if shuffle := plain[arm]["data"].get("shuffle"):
            yield Problem("data.shuffle", shuffle, f"in baseline {arm}: expected null, it is to know its modality")
    for name, control in study.controls.items():
        check = _shuffled if control.kind == "shuffled" else _duplicate
        wrong = list(check(name, control.of, plain[name], plain[control.of]))
        wrong = wrong or list(_changes(name, control.kind, control.of, plain[name], plain[control.of]))
        if not wrong and control.keeps and control.keeps not in (kept := _kept(study, plain, name)):
            what = (
                f"control {name} sees {show(list(inputs(plain[name])))}, cut otherwise than the input of that baseline"
            )
            yield Problem(f"study.controls.{name}.keeps", control.keeps, what, (kept or ["null"])[0])
        yield from wrong


def _same_modalities(study: Study, plain: Mapping[str, Tree]) -> Iterator[Problem]:
    first = next(iter(study.arms))
    for arm in study.arms:
        if plain[arm]["modality"] != plain[first]["modality"]:
            what = f"in arm {arm}, but {show(list(inputs(plain[first])))} in {first}: methods are compared on the same modalities"
            yield Problem("modality", list(inputs(plain[arm])), what, "study.compares=modalities")


def keeping(study: Study, plain: Mapping[str, Tree]) -> Study:
    """The study whose duplicates say which baseline they keep, the first that is cut alike; `plain` as for `problems`."""
    kept = {n: c.keeps or next(iter(_kept(study, plain, n)), None) for n, c in study.controls.items()}
    return replace(study, controls={n: replace(c, keeps=kept[n]) for n, c in study.controls.items()})


def _kept(study: Study, plain: Mapping[str, Tree], name: str) -> list[str]:
    """The baselines whose only input is cut as every input of a duplicate is."""
    if study.controls[name].kind != "duplicate":
        return []
    mine = [_cut(stream) for stream in inputs(plain[name]).values()]
    return [b for b in study.baselines if [_cut(s) for s in inputs(plain[b]).values()] * len(mine) == mine]


def unlike(study: Study, plain: Mapping[str, Tree]) -> Iterator[Problem]:
    """Settings in which a stream's backbone differs between two arms, unless `study.unequal` names them.

    A stream is held against the first arm that has it; where no stream of an arm is another's too, as where it is stacked,
    against the first arm's. Controls are left to `problems`.
    """
    own = {arm: _backbones(tree) for arm, tree in plain.items() if arm not in study.controls}
    first = next(iter(own))
    told: set[tuple[str, str]] = set()
    for arm, streams in own.items():
        has = {stream: [other for other in own if stream in own[other]] for stream in streams}
        apart = all(some == [arm] for some in has.values())
        for stream, mine in streams.items():
            other = first if apart else has[stream][0]
            theirs = own[other].get(stream) or next(iter(own[other].values()))
            where = f"backbones.{stream}" if stream in (plain[arm].get("backbones") or {}) else "backbone"
            for key in _differ(mine, theirs, "_target_"):
                name = f"{where}.{key}"
                free = any(
                    under(n, u) for n in (name, f"backbone.{key}", f"backbones.{stream}.{key}") for u in study.unequal
                )
                if free or (arm, name) in told:
                    continue
                told.add((arm, name))
                what = f"in arm {arm}, but {show(theirs.get(key))} in {other}: arms are compared with equal backbones"
                yield Problem(name, mine.get(key), what, f"study.unequal=[{where if key == '_target_' else name}]")


def _judgement(study: Study, plain: Mapping[str, Tree]) -> Iterator[Problem]:
    able_in = {arm: judges(study, tree) for arm, tree in plain.items()}
    if mute := [arm for arm in plain if not able_in[arm]]:
        able = choices("evaluate", lambda node: fact(target(node), "predicts", False))
        what = f"{_arms(mute, plain)} a study judges what an evaluator predicts of each sample, and evaluate has none that does"
        yield Problem("evaluate", list(plain[mute[0]].get("evaluate") or {}), what, f"evaluate=[{', '.join(able)}]")
    elif study.evaluator is not None and (silent := [arm for arm in plain if study.evaluator not in able_in[arm]]):
        able = sorted({name for own in able_in.values() for name in own})
        what = (
            f"{_arms(silent, plain)} does not judge every label ({', '.join(study.labels)}); is it among evaluate, and "
        )
        what += f"has each label a head? There is {', '.join(able)}"
        yield Problem("study.evaluator", study.evaluator, what, f"study.evaluator={able[0]}")
    elif study.evaluator is None and not judge_of(study, plain):
        first = next(iter(plain))
        arm = next((a for a in plain if not {*able_in[a]} & {*able_in[first]}), list(plain)[-1])
        there = " and ".join(f"{', '.join(able_in[one])} in {one}" for one in (arm, first))
        what = f"(arm {arm}) no evaluator judges every label in every arm: {there}; expected one for all"
        yield Problem("evaluate", list(plain[arm]["evaluate"]), what)
    if early := [arm for arm, tree in plain.items() if tree.get("eval_split", "test") != "test"]:
        what = f"{_arms(early, plain)} a study is judged on the test part; it sets eval_split=val for its tuning cells itself"
        yield Problem("eval_split", plain[early[0]]["eval_split"], what, "eval_split=test")


def judges(study: Study, tree: Mapping[str, Any]) -> list[str]:
    """The evaluators of an arm that can judge every label of the study, in its order; of heads, each needs one that tells it."""
    heard = {*told(dict(tree)).values()}
    return [e.name for e in scored(dict(tree)) if e.predicts and (e.reads != "heads" or heard >= {*study.labels})]


def judge_of(study: Study, plain: Mapping[str, Tree]) -> str:
    """The evaluator that judges all arms: the study's own, else the first that every arm has; "" where there is none."""
    able = [judges(study, tree) for tree in plain.values()]
    return study.evaluator or next((name for name in able[0] if all(name in own for own in able)), "")


def _arms(some: list[str], plain: Mapping[str, Tree]) -> str:
    return "(every arm)" if len(some) == len(plain) else f"(arm {', '.join(some)})"


def _shuffled(name: str, of: str, own: Tree, arm: Tree) -> Iterator[Problem]:
    shuffle = own["data"].get("shuffle")
    where = f"in control {name}"
    if not shuffle:
        near = f"study.controls.{name}.set=['data.shuffle={{stream: {list(inputs(arm))[-1]}}}']"
        yield Problem("data.shuffle", shuffle, f"{where}: expected a stream, a shuffled control re-pairs one", near)
    elif own["modality"] != arm["modality"]:
        what = f"{where}: expected {show(list(inputs(arm)))} as in its arm {of}, a shuffled control differs in data.shuffle alone"
        yield Problem("modality", list(inputs(own)), what)
    elif shuffle == arm["data"].get("shuffle"):
        yield Problem("data.shuffle", shuffle, f"{where}: expected another than that of its arm {of}")


def _duplicate(name: str, of: str, own: Tree, arm: Tree) -> Iterator[Problem]:
    mine, theirs = inputs(own), inputs(arm)
    where = f"in control {name}"
    if shuffle := own["data"].get("shuffle"):
        yield Problem("data.shuffle", shuffle, f"{where}: expected null, a duplicate re-pairs nothing")
    if own["modality"] == arm["modality"]:
        what = f"{where}: expected another than that of its arm {of}, a duplicate sees one modality again"
        yield Problem("modality", list(mine), what)
    elif len(mine) != len(theirs):
        what = f"{where}: expected {len(theirs)} inputs as in its arm {of}, whose capacity it is to have"
        yield Problem("modality", list(mine), what)
    elif len({str(sorted(_cut(stream).items())) for stream in mine.values()}) > 1:
        yield Problem(
            "modality", list(mine), f"{where}: expected inputs cut alike, a duplicate sees one modality alone"
        )
    elif len(mine) == 1 and next(iter(mine.values())).get("repeat", 1) == 1:
        only = next(iter(mine))
        what = f"{where}: expected 2 or more, as one input a duplicate has its modality several times"
        yield Problem(f"modality.{only}.repeat", 1, what)


def _one_backbone(own: Tree, arm: Tree) -> bool:
    """Whether a duplicate of an arm of several kinds reads every input as its arm reads the one that it is cut like.

    The backbone of an image can't read a text; where one could read the other, it stays in its place.
    """
    if len({(s.get("kind", "image"), "steps" in s) for s in inputs(arm).values()}) < 2:
        return False
    kept = next((n for n, s in inputs(arm).items() if _cut(s) == _cut(next(iter(inputs(own).values())))), None)
    return kept is not None and all(backbone == _backbones(arm)[kept] for backbone in _backbones(own).values())


def _changes(name: str, kind: str, of: str, own: Tree, arm: Tree) -> Iterator[Problem]:
    """What a control changes of its arm besides what its kind may; names of streams follow a duplicate's modality."""
    names = dict(zip(_without(inputs(arm), inputs(own)), _without(inputs(own), inputs(arm)), strict=True))
    # what the data call their own parts is no name of a stream
    mine, theirs = _facts(own), _facts({k: v if k == "data" else _renamed(v, names) for k, v in arm.items()})
    found = _differ(mine, theirs)
    if kind == "duplicate" and _one_backbone(own, arm):
        found = [key for key in found if not any(under(key, f"{top}backbones") for top in ("", "system."))]
    for key in found:
        if under(key, "data.shuffle") or key.removeprefix("system.") in {*found} - {key}:
            continue
        what = f"in control {name}, but {show(theirs.get(key))} in its arm {of}: "
        yield Problem(key, mine.get(key), f"{what}a {kind} control differs in {MAY_CHANGE[kind]} alone")


def _renamed(node: Any, names: Mapping[str, str]) -> Any:
    """A node whose keys and words have the other names."""
    if isinstance(node, Mapping):
        # a stream may be named as a module is
        return {names.get(k, k): v if k == "_target_" else _renamed(v, names) for k, v in node.items()}
    if isinstance(node, list):
        return [_renamed(v, names) for v in node]
    return ".".join(names.get(word, word) for word in node.split(".")) if isinstance(node, str) else node


def _facts(tree: Tree) -> dict[str, Any]:
    """{dotted key: value} of what changes numbers, the modality left out."""
    tops = tree.keys() - {*BOOKKEEPING, "modality"}
    return {k: v for top in tops for k, v in flat(tree[top], top).items()}


def _without(some: Tree, others: Tree) -> list[str]:
    return [k for k in some if k not in others]


def _cut(stream: Tree) -> dict[str, Any]:
    return {k: v for k, v in stream.items() if k not in {"repeat", "role"}}


def _backbones(tree: Tree) -> dict[str, dict[str, Any]]:
    """{input: {dotted key: value}} of the backbone that it gets."""
    nodes = backbones(dict(tree))
    return {s: {k.partition(".")[2]: v for k, v in flat(node, "backbone").items()} for s, node in nodes.items()}


def _differ(some: Tree, others: Tree, alone: str = "") -> list[str]:
    """Keys in which two flat nodes differ; `alone`, if that is one of them: all others then mean something else."""
    found = sorted(k for k in some.keys() | others.keys() if some.get(k) != others.get(k))
    return [alone] if alone in found else found
