"""The arms and controls that are written out in the shipped studies are those that `study=compare` derives."""

import pytest

from multimodal_lab.config import resolvers
from multimodal_lab.config.check import check_command
from multimodal_lab.config.plain import as_plain
from multimodal_lab.study.compare import stack
from multimodal_lab.study.compare.arms import Design, Parts, arms
from multimodal_lab.study.compare.facts import Facts, Input, Label
from multimodal_lab.study.design.cells import without_hydra

# {study: (words, {its name of an arm or control: the derived one})}
SHIPPED = {
    "rgb_vs_uv": ([], {"early": "early", "late": "late", "early_duplicate": "early_rgb_again",
                       "late_duplicate": "late_rgb_again", "attention_shuffled": "attention_shuffled"}),
    "vis_nir": (["data.root=/any", "backbone.weights=/any.safetensors"],
                {"nir": "nir", "early_shuffled": "early_shuffled", "shuffled_within": "concat_within_name",
                 "shuffled_across": "concat_shuffled", "duplicate": "concat_rgb_again"}),
    "dewlap": (["data.root=/any"], {"attention": "attention", "duplicate": "concat_vis_again"}),
}  # fmt: skip


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_written_out_is_what_would_be_derived(name):
    words, same = SHIPPED[name]
    resolvers.register()
    jobs = check_command([f"study={name}", *words])

    def composed(lines):
        cfg, found = jobs.configured([*jobs.lines, *lines])
        assert not found
        return {k: v for k, v in as_plain(without_hydra(cfg)).items() if k not in ("study", "dir")}

    base = as_plain(without_hydra(jobs.configured(jobs.lines)[0]))
    study, inputs = base["study"], []
    for stream, node in base["modality"].items():
        bands = node["bands"] if isinstance(node["bands"], list) else [stream]
        inputs.append(Input(stream, node["kind"], {k: v for k, v in node.items() if v is not None}, bands=tuple(bands)))
    early = stack.stacked(inputs)[0] if "early" in study["arms"] else None
    labels = tuple(Label(label, "class", 2) for label in study["labels"])
    facts = Facts(tuple(inputs), labels, 1, 1, 1, 1, None, False, {}, early, "")
    design = Design(early is not None, ("late", "concat", "attention"), False, tuple(study["labels"]), (0,), (0,))
    made = arms(facts, design, Parts({}))
    derived = {**made.arms, **{n: [*made.arms[c["of"]], *c["set"]] for n, c in made.controls.items()}}
    own = {**study["arms"], **{n: [*study["arms"][c["of"]], *c["set"]] for n, c in study["controls"].items()}}
    for theirs, ours in same.items():
        assert composed(own[theirs]) == composed(derived[ours]), theirs
