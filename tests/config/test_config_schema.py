import copy

import pytest
from omegaconf import OmegaConf

from multimodal_lab.config.schema import check, resolved

L = "multimodal_lab"
GOOD = {
    "modality": {
        "rgb": {"kind": "image", "bands": ["R", "G", "B"]},
        "uv": {"kind": "image", "bands": {"nm": [[300, 400]]}},
    },
    "backbone": {"_target_": f"{L}.backbone.convnet.ConvNet", "_partial_": True, "widths": [8, 16], "freeze": False},
    "backbones": {},
    "fusion": {"_target_": f"{L}.fusion.attention.Attention", "_partial_": True, "width": 16, "heads": 4},
    "head": {"_target_": f"{L}.head.projection.Projection", "_partial_": True, "dim": 8, "hidden": 16},
    "heads": {},
    "loss": {
        "_target_": f"{L}.keyed.Keyed",
        "fn": {"_target_": f"{L}.loss.cross_modal.cross_modal", "_partial_": True},
        "weight": 1.0,
        "z": "out.projection",
        "ids": "batch.ids",
        "present": "present",
        "cross_weight": 1.0,
        "intra_weight": 0.5,
        "temperature": 0.1,
    },
    "losses": {},
    "augment": {"_target_": f"{L}.augment.augment.Augment", "_partial_": True, "views": 2, "ops": {}},
    "data": {"_target_": f"{L}.data.dataset.Data", "labels": ["species", "sex"]},
    "optim": {"_target_": f"{L}.optim.optimizers.adamw", "_partial_": True, "lr": 1e-3, "lr_scale": {}},
    "train": {"_target_": f"{L}.train.config.TrainConfig", "epochs": 1},
    "adapt": {},
    "evaluate": {"knn": {"_target_": f"{L}.evaluate.knn.KNN", "k": 5}},
    "system": {
        "_target_": f"{L}.system.System",
        "_partial_": True,
        "backbone": "${backbone}",
        "backbones": "${backbones}",
        "fusion": "${fusion}",
        "head": "${head}",
        "loss": "${loss}",
    },
    "label": "species",
    "seed": 0,
    "dir": "runs/${run_id:}",
}
CLASSIFIER = {"_target_": f"{L}.head.classifier.Classifier", "_partial_": True, "label": "${label}"}
ENTROPY = {
    "_target_": f"{L}.keyed.Keyed",
    "fn": {"_target_": f"{L}.loss.classification.cross_entropy", "_partial_": True},
    "logits": "out.classifier",
    "target": "batch.targets.${label}",
    "label_smoothing": 0.0,
    "class_weight": None,
}
TEXT = {"kind": "text", "field": "caption", "vocab": 100, "length": 8}
DROP = object()


@pytest.fixture(autouse=True)
def data_as_it_is_here(monkeypatch):
    """The data node's other arguments are not this test's matter."""
    from multimodal_lab.config import schema

    real = schema._argument_problems
    monkeypatch.setattr(
        schema, "_argument_problems", lambda known, node, key: iter(()) if key == "data" else real(known, node, key)
    )


def change(**changes):
    """GOOD with values set at dotted keys (`__` for a dot, `___` for a dot before an underscore)."""
    tree = copy.deepcopy(GOOD)
    for path, value in changes.items():
        *parents, last = (p.replace("\0", "_") for p in path.replace("___", "__\0").split("__"))
        node = tree
        for part in parents:
            node = node.setdefault(part, {})
        if value is DROP:
            del node[last]
        else:
            node[last] = copy.deepcopy(value)
    return tree


def test_a_good_config_has_no_problems():
    assert check(GOOD) == []
    assert check(OmegaConf.create(GOOD)) == []


SEPARATE = {"_target_": f"{L}.fusion.separate.Separate", "_partial_": True}
VARIANTS = {
    "one stream": {"modality__uv": DROP},
    "no fused": {"fusion": SEPARATE},
    "classifier": {"head": CLASSIFIER, "loss": ENTROPY},
    "classifier of one stream": {
        "head": {**CLASSIFIER, "input": "uv"},
        "loss": ENTROPY,
        "fusion": SEPARATE,
        "backbone__freeze": True,
    },
    "two heads, two losses": {"heads__label": CLASSIFIER, "losses__label": {**ENTROPY, "logits": "out.label"}},
    "a scheduled knob": {
        "loss__temperature": {"_target_": f"{L}.loss.schedule.LinearSchedule", "start": 0.2, "end": 0.1}
    },
    "no contrast within": {"augment__views": 1, "loss__intra_weight": 0},
    "a loss of torch": {
        "head": CLASSIFIER,
        "loss": {
            "_target_": f"{L}.keyed.Keyed",
            "fn": {"_target_": "torch.nn.CrossEntropyLoss", "label_smoothing": 0.1},
            "input": "out.classifier",
            "target": "batch.targets.sex",
        },
    },
    "text": {
        "modality__text": TEXT,
        "backbones__text": {"_target_": f"{L}.backbone.text.Text", "_partial_": True, "width": 8, "heads": 2},
    },
    "a path of one stream": {
        "losses__more": {
            "_target_": f"{L}.keyed.Keyed",
            "fn": {"_target_": "torch.nn.MSELoss"},
            "input": "out.projection.rgb",
            "target": "out.projection.uv",
        }
    },
    "labels not known yet": {"data__labels": [], "label": "whatever"},
    "watch a score": {"train__monitor": "val/knn/fused/species/accuracy", "train__patience": 3, "train__mode": "max"},
    "lr_scale": {"optim__lr_scale": {"backbones.each.rgb": 0.1, "fusion": 2.0}},
    "a stream to produce": {"modality__caption": {**TEXT, "role": "target"}},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_that_can_run(name):
    assert [str(p) for p in check(change(**VARIANTS[name]))] == []


WRONG = [
    (
        {"fusion": SEPARATE, "loss__present": "present.uv", "modality_subsets": True},
        "modality_subsets",
        "modality_subsets=false",
    ),
    ({"augment__modality_dropout": 1.5}, "augment.modality_dropout", "0"),
    ({"fusion__widht": 3}, "fusion.widht", "fusion.width"),
    ({"fusion__dims": {}}, "fusion.dims", "remove it"),
    ({"backbone__stream": "rgb"}, "backbone.stream", "remove it"),
    ({"train__seed": 3}, "train.seed", "no such key"),
    ({"fusion__width": 0}, "fusion.width", "integer >= 1"),
    ({"fusion__width": "wide"}, "fusion.width", "integer"),
    ({"fusion__heads": 5}, "fusion.heads", "fusion.heads=4"),
    ({"backbone__widths": [8, "x"]}, "backbone.widths.1", "integer"),
    ({"backbone__freeze": "yes"}, "backbone.freeze", "true or false"),
    ({"fusion___target_": "os.system"}, "fusion._target_", "names that a config may build"),
    ({"fusion___args_": [1]}, "fusion._args_", "only _target_"),
    ({"fusion___partial_": 1}, "fusion._partial_", "true or false"),
    ({"fusion___target_": DROP}, "fusion._target_", "may build"),
    ({"head___partial_": DROP}, "head.dims", "missing"),
    ({"loss__fn___target_": "multimodal_lab.loss.clip.clip"}, "loss.cross_weight", "no such key"),
    ({"loss__temprature": 1}, "loss.temprature", "loss.temperature"),
    ({"loss__temperature": DROP}, "loss.temperature", "missing"),
    ({"loss__temperature": 0}, "loss.temperature", "> 0"),
    ({"loss__cross_weight": -1}, "loss.cross_weight", ">= 0"),
    ({"loss__weight": "abc"}, "loss.weight", "a number"),
    ({"loss__fn__temperature": 0.2}, "loss.temperature", "keep one of the two"),
    (
        {"loss__temperature": {"_target_": f"{L}.loss.schedule.LinearSchedule", "start": 0.2}},
        "loss.temperature.end",
        "missing",
    ),
    ({"loss__z": 3}, "loss.z", "path"),
    ({"loss__z": "out.projektion"}, "loss.z", "loss.z=out.projection"),
    ({"loss__z": "out.projection.nir"}, "loss.z", "out.projection.uv"),
    ({"loss__z": "outt.projection"}, "loss.z", "loss.z=out"),
    ({"loss__ids": "batch.id"}, "loss.ids", "batch.ids"),
    ({"loss__ids": "batch.targets.specie"}, "loss.ids", "batch.targets.species"),
    ({"loss__present": "present.nir"}, "loss.present", "present.uv"),
    ({"fusion": SEPARATE, "loss__present": "present.fused"}, "loss.present", "present.uv"),
    ({"fusion": SEPARATE, "head": CLASSIFIER, "loss": ENTROPY}, "head.input", "head.input=rgb"),
    ({"head": {**CLASSIFIER, "input": "nir"}, "loss": ENTROPY}, "head.input", "expected one of rgb, uv, fused"),
    ({"head": CLASSIFIER, "loss": ENTROPY, "head__label": "specie"}, "head.label", "head.label=species"),
    ({"head": CLASSIFIER}, "loss.z", "loss=cross_entropy"),
    ({"heads__projection": CLASSIFIER}, "heads.projection", "choose another"),
    ({"losses__cross_modal": ENTROPY}, "losses.cross_modal", "choose another"),
    ({"backbones__nir": GOOD["backbone"]}, "backbones.nir", "backbones.rgb"),
    ({"modality__text": TEXT}, "backbone", "+backbone@backbones.text=text"),
    ({"backbone___target_": f"{L}.backbone.text.Text"}, "backbone.widths", "no such key"),
    ({"backbones__uv": {"_target_": f"{L}.backbone.vector.Vector", "_partial_": True}}, "backbones.uv", "vector"),
    ({"augment__views": 1}, "augment.views", "augment.views=2"),
    ({"augment__views": 0}, "augment.views", "integer >= 1"),
    ({"label": "specie"}, "label", "label=species"),
    ({"label": 3}, "label", "text"),
    ({"seed": -1}, "seed", "integer >= 0"),
    ({"sead": 1}, "sead", "seed"),
    ({"resume": "yes"}, "resume", "never, auto"),
    ({"modality": {}}, "modality", "at least one"),
    ({"modality__rgb__kind": "picture"}, "modality.rgb.kind", "image, map, text, vector"),
    ({"modality__rgb__bands": {"evry": 2}}, "modality.rgb.bands.evry", "every"),
    ({"modality__fused": {"kind": "image", "bands": "all"}}, "modality.fused", "name"),
    ({"optim__lr": 0}, "optim.lr", "> 0"),
    ({"optim__lr_scale": {"backbone": 1e-3}}, "optim.lr_scale.backbone", "optim.lr_scale.backbones"),
    ({"optim__lr_scale": {"fusion": -1}}, "optim.lr_scale.fusion", ">= 0"),
    ({"train__epochs": 1.5}, "train.epochs", "an integer in [1, 100000] or one of auto"),
    ({"train__patience": 3}, "train.monitor", "val/total"),
    ({"train__monitor": "val/kn/fused/species/accuracy"}, "train.monitor", "val/knn"),
    ({"train__monitor": "total"}, "train.monitor", "val/total"),
    ({"data__root": "???"}, "data.root", "give data.root="),
    ({"system__fusion": "${fussion}"}, "system.fusion", "${fusion}"),
    ({"evaluate__knn__k": "five"}, "evaluate.knn.k", "integer"),
    ({"evaluate__knn": 5}, "evaluate.knn", "_target_"),
    ({"fusion": None}, "fusion", "_target_"),
    ({"fusion": {**GOOD["backbone"]}}, "fusion._target_", "a name in multimodal_lab.fusion"),
    (
        {"loss": {"_target_": "torch.nn.MSELoss"}, "heads__x": GOOD["backbone"]},
        "heads.x._target_",
        "multimodal_lab.head",
    ),
    (
        {"system": {"_target_": f"{L}.optim.optimizers.sgd", "_partial_": True}},
        "system._target_",
        "System or a subclass",
    ),
    ({"loss__temperature": "warm"}, "loss.temperature", "a number > 0 or a path"),
    ({"fusion": DROP}, "fusion", "missing"),
    (
        {"adapt": {"_target_": f"{L}.adapt.freeze.freeze", "_partial_": True, "modules": ["backbone"]}},
        "adapt.modules",
        "backbones",
    ),
    (
        {"augment__ops": {"blur": {"_target_": f"{L}.augment.texture.RandomGaussianBlur", "streams": ["nir"]}}},
        "augment.ops.blur",
        "",
    ),
]


@pytest.mark.parametrize(("changes", "key", "words"), WRONG, ids=[f"{k}-{i}" for i, (_, k, _) in enumerate(WRONG)])
def test_what_is_wrong_is_named_with_the_nearest_choice(changes, key, words):
    found = [str(p) for p in check(change(**changes))]
    assert any(line.startswith(f"{key}") and words in line for line in found), found


def test_the_same_node_is_judged_once():
    assert [p.key for p in check(change(fusion__width=0))] == ["fusion.width"]


def test_late_interpolations_are_not_resolved():
    tree, lost = resolved(
        OmegaConf.create({"a": "${hydra:run.dir}/x", "b": "${now:%Y}", "c": "${run_id:}", "d": "${a}"})
    )
    assert lost == []
    assert {type(v).__name__ for v in tree.values()} == {"Unknown"}
