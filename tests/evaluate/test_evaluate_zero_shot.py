"""Zero-shot classification: equal to open_clip on a model of its own, to plain Python, and refused in one sentence."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import open_clip
import pytest
import torch
from contract.evaluator import embeddings, run
from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES, SIMPLE_IMAGENET_TEMPLATES
from sklearn.metrics import balanced_accuracy_score, brier_score_loss

from multimodal_lab.cache.encodings import Encodings, Lookup
from multimodal_lab.evaluate import templates
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.prompts import chunks, prompts, spelt
from multimodal_lab.evaluate.temperature import of_losses
from multimodal_lab.evaluate.zero_shot import ZeroShot
from multimodal_lab.keyed import Keyed
from multimodal_lab.loss.regression import huber
from multimodal_lab.loss.schedule import FreeScalar, LearnedScalar
from multimodal_lab.loss.siglip import siglip
from multimodal_lab.loss.supcon import supcon
from multimodal_lab.metric.zero_shot import class_vectors, top_accuracy
from multimodal_lab.stats import calibration
from multimodal_lab.types import Batch, Features

CLASSES = ["ant", "bee", "crab", "duck", "eel", "fox", "goat"]


def test_named_sets_are_those_of_open_clip():
    assert tuple(t("{}") for t in OPENAI_IMAGENET_TEMPLATES) == templates.IMAGENET
    assert tuple(t("{}") for t in SIMPLE_IMAGENET_TEMPLATES) == templates.SIMPLE
    assert templates.read("imagenet") == templates.IMAGENET


def test_templates_come_from_a_list_a_text_or_a_file(tmp_path):
    (tmp_path / "own.txt").write_text("a {}\n\n  the {} \n")
    assert templates.read(str(tmp_path / "own.txt")) == ("a {}", "the {}")
    assert templates.read("a photo of a {}") == templates.read(["a photo of a {}"]) == ("a photo of a {}",)
    assert prompts(["a {}", "{0} {}"], [["{}", "x"]]).texts == (
        "a {}",
        "{0} {}",
        "a x",
        "{0} x",
    )  # nothing else is filled


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["a photo"], "here: the template 'a photo' has no {}; expected one {}, where the name of the class goes"),
        (["a {} and {}"], "the template 'a {} and {}' has 2 times {}; expected one {}"),
        (["a {}", "a {}"], "the template 'a {}' stands there twice"),
        ([], "here: no template; expected one or more"),
        ("imagnet", "here=imagnet: expected one of simple, imagenet, sound; nearest: imagenet"),
        ("/nowhere/own.txt", "here=/nowhere/own.txt: No such file or directory; expected a text file, one a line"),
    ],
)
def test_templates_that_can_not_be_used_are_refused(given, said):
    with pytest.raises(ValueError, match=r"^here") as error:
        templates.read(given, "here")
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"foxx": "fox"}, "here: no class 'foxx'; expected one of ant, bee, crab, duck, eel, fox, goat; nearest: fox"),
        ({"ant": "bee"}, "the name 'bee' stands there twice, of classes 'ant' and 'bee'; give each once"),
        ({"ant": ["emmet", "emmet"]}, "the name 'emmet' stands there twice, of class 'ant'"),
        ({"ant": []}, "here: class 'ant' has no name; expected text"),
        ({"ant": [" "]}, "here: class 'ant' has an empty name; expected text"),
    ],
)
def test_names_that_can_not_be_used_are_refused(names, said):
    with pytest.raises(ValueError, match=r"^here") as error:
        spelt(CLASSES, names, "here")
    assert said in str(error.value)


def test_classes_are_cut_into_chunks_that_together_are_all():
    names = spelt(CLASSES, {"bee": ["bee", "bumblebee", "honeybee"]}, "")
    whole = prompts(["a {}", "the {}"], names)
    parts = list(chunks(["a {}", "the {}"], names, 5))
    assert len(parts) > 2
    assert sum((p.texts for _, p in parts), ()) == whole.texts
    assert [i + first for first, p in parts for i in p.owner] == list(whole.owner)


def test_a_class_is_the_mean_of_the_unit_vectors_of_its_prompts():
    x, owner = torch.randn(7, 5, dtype=torch.float64), torch.tensor([0, 0, 1, 2, 2, 2, 1])
    found = class_vectors(x, owner, 3)
    for k in range(3):
        own = [row / np.sqrt((row**2).sum()) for row, o in zip(x.numpy(), owner, strict=True) if o == k]
        mean = sum(own) / len(own)
        np.testing.assert_allclose(found[k], mean / np.sqrt((mean**2).sum()), rtol=1e-12)


@pytest.fixture(scope="module")
def theirs():
    """A model of open_clip with its own tokenizer, 60 images of seven classes, and its own weights of the classifier."""
    torch.manual_seed(0)
    model = open_clip.CLIP(
        12,
        {"image_size": 16, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8},
        {"context_length": 20, "width": 16, "heads": 2, "layers": 1},
    ).eval()
    tokenizer = open_clip.SimpleTokenizer(context_length=20)
    images, y = torch.randn(60, 3, 16, 16), torch.arange(60) % 7
    return model, tokenizer, images, y


class OfOpenClip:
    """Their model as a system: `encode` of a batch of image and text."""

    def __init__(self, model):
        self.model = model

    def encode(self, batch):
        image, text = self.model.encode_image(batch.inputs["image"]), self.model.encode_text(batch.inputs["text"])
        found = {"image": Features.from_vector(image), "text": Features.from_vector(text)}
        return {name: f.keep(batch.present[name]) for name, f in found.items()}, {}


def their_accuracy(output, target, topk):
    """`accuracy` of open_clip_train and of CLIP_benchmark, but for a cast that NumPy 2.4 refuses."""
    pred = output.topk(max(topk), 1, True, True)[1].t()
    correct = pred.eq(target.view(1, -1).expand_as(pred))
    return [float(correct[:k].reshape(-1).float().sum(0)) for k in topk]


def test_it_is_open_clips_classifier_and_accuracy(theirs):
    model, tokenizer, images, y = theirs
    data = SimpleNamespace(
        streams={"image": None, "text": None}, classes={"kind": CLASSES},
        tokens={"text": SimpleNamespace(encode=lambda text: tokenizer([text])[0].numpy())},
        batch=lambda rows: Batch.of({"image": images[:1], "text": tokenizer(["no text"])}),
    )  # fmt: skip
    with torch.no_grad():
        image = model.encode_image(images)
        weights = open_clip.build_zero_shot_classifier(model, tokenizer, CLASSES, SIMPLE_IMAGENET_TEMPLATES)
        logits = 100 * model.encode_image(images, normalize=True) @ weights
    whole = np.ones(60, dtype=bool)
    test = Embeddings({"image": image.numpy()}, {"image": whole}, {"kind": y.numpy()}, data.classes,
                      [str(i) for i in range(60)], np.arange(60), np.full(60, "test"))  # fmt: skip
    evaluator = ZeroShot(temperature=0.01)
    found = evaluator(test, data, OfOpenClip(model), "cpu")
    top1, top5 = their_accuracy(logits, y, (1, 5))
    assert 0 < top1 < top5 < 60
    key = "zero_shot/image/kind"
    assert found[f"{key}/accuracy"] == pytest.approx(top1 / 60)
    assert found[f"{key}/top5_accuracy"] == pytest.approx(top5 / 60)
    # CLIP_benchmark's mean per-class recall
    assert found[f"{key}/balanced_accuracy"] == pytest.approx(balanced_accuracy_score(y, logits.argmax(1)))
    (kept,) = evaluator.predictions
    np.testing.assert_allclose(kept.outputs, logits.softmax(1), atol=1e-4)
    p = kept.outputs
    assert found[f"{key}/nll"] == pytest.approx(float(torch.nn.functional.cross_entropy(logits, y)), rel=1e-4)
    assert found[f"{key}/brier"] == pytest.approx(brier_score_loss(y, p), rel=1e-6)
    assert found[f"{key}/ece"] == pytest.approx(calibration.ece(p.max(1), p.argmax(1) == y.numpy()), abs=1e-6)
    assert found[f"{key}/chance"] == pytest.approx(9 / 60)
    assert found[f"{key}/chance_top5"] == pytest.approx(44 / 60)
    assert found[f"{key}/prompts"] == 49
    (table,) = evaluator.tables
    assert list(table.frame["class"]) == CLASSES
    assert found[f"{key}/recall@bee"] == pytest.approx(table.frame.recall[1])


def test_synonyms_and_templates_change_what_a_class_is():
    data, system = run()
    _, test = embeddings()

    def outputs(**settings):
        evaluator = ZeroShot(labels=["species"], **settings)
        evaluator(test, data, system, "cpu")
        return {p.stream: p.outputs for p in evaluator.predictions}

    plain = outputs()
    assert list(plain) == ["rgb", "uv"]
    other = {"a list": outputs(templates="the {}"), "names": outputs(class_names={"species": {"ant": ["male", "wings"]}}),
             "temperature": outputs(temperature=1.0)}  # fmt: skip
    assert all(np.abs(own["rgb"] - plain["rgb"]).max() > 1e-3 for own in other.values())


def test_the_tower_reads_prompts_where_a_cache_has_it_look_features_up():
    data, system = run()
    _, test = embeddings()
    plain = ZeroShot()(test, data, system, "cpu")
    tower = system.backbones.each["text"]
    lookup = Lookup(
        Encodings(torch.ones(1, 1, 16), torch.ones(1, 16), torch.ones(1, 1, dtype=torch.bool), torch.ones(1))
    )
    tower.__dict__["forward"] = lookup
    try:
        assert ZeroShot()(test, data, system, "cpu") == plain
        assert tower.__dict__["forward"] is lookup
    finally:
        del tower.__dict__["forward"]


def test_without_a_temperature_there_are_no_probabilities():
    data, system = run()
    _, test = embeddings()
    whole = ZeroShot()(test, data, system, "cpu")
    bare = SimpleNamespace(encode=system.encode)
    evaluator = ZeroShot()
    found = evaluator(test, data, bare, "cpu")
    key = "zero_shot/rgb/species"
    assert found[f"{key}/accuracy"] == whole[f"{key}/accuracy"]
    assert found[f"{key}/skipped/probabilities_as_no_loss_has_a_temperature"] == 1
    assert not {f"{key}/{name}" for name in ("ece", "brier", "nll", "auroc", "temperature")} & found.keys()
    assert all(p.outputs is None and np.isnan(p.probability).all() for p in evaluator.predictions)


def test_the_temperature_is_that_of_the_loss_that_compares_vectors():
    def of(*terms):
        return of_losses(SimpleNamespace(losses=dict(enumerate(terms))))

    z = {"z": "out.projection", "ids": "batch.ids", "present": "present"}
    scale = LearnedScalar(20.0, 1.0, 100.0)
    assert of(Keyed(siglip, scale=scale, bias=FreeScalar(-10.0), **z)) == pytest.approx(1 / 20)
    assert of(Keyed(supcon, temperature=0.1, **z)) == 0.1
    numbers = Keyed(huber, name="huber", predicted="out.a", target="out.b", scale=3.0)
    assert of(numbers, Keyed(supcon, temperature=0.2, **z)) == 0.2
    assert of(numbers) is None
    assert of_losses(run()[1]) == pytest.approx(0.07)


def test_what_can_not_be_asked_of_the_data_is_refused_before_the_training():
    data, _ = run()
    require = partial(ZeroShot.require, splits=("train", "test"), eval_split="test")
    pictures = SimpleNamespace(streams={"rgb": None}, tokens={}, classes=data.classes)
    two = SimpleNamespace(streams={"en": None, "fr": None}, tokens={"en": None, "fr": None}, classes=data.classes)
    numbers = SimpleNamespace(streams=data.streams, tokens=data.tokens, classes={"mass": []})
    for evaluator, of, said in (
        (
            ZeroShot(),
            pictures,
            "evaluate.zero_shot.prompt_stream: this run reads no text that prompts could be given as .*reads rgb",
        ),
        (ZeroShot(), two, "prompt_stream: this run reads the texts en, fr; say which"),
        (
            ZeroShot(prompt_stream="txt"),
            data,
            "prompt_stream=txt: no text stream of this name; expected one of text",
        ),
        (ZeroShot(labels=["spcies"]), data, "labels: no label 'spcies' of classes; .* nearest: species"),
        (ZeroShot(labels=["mass"]), data, "labels: no label 'mass' of classes"),
        (ZeroShot(class_names={"sexes": {}}), data, "class_names: no label 'sexes' of classes; .* nearest: sex"),
        (ZeroShot(class_names={"sex": {"mail": "m"}}), data, "class_names.sex: no class 'mail'; .* nearest: male"),
        (ZeroShot(), numbers, "the data have no label of classes whose names"),
    ):
        with pytest.raises(ValueError, match=said):
            require(evaluator, of)
    (note,) = require(ZeroShot(templates="the {}"), data)
    assert note.startswith("warning: zero_shot: of 11 prompts for text, such as 'the ant'")
    assert "50% of their words are unknown to its tokenizer" in note
    assert require(ZeroShot(templates="{}"), data) == []


def test_top_accuracy_of_fewer_classes_is_of_all():
    z, truth = torch.tensor([[0.3, 0.2, 0.5], [0.1, 0.8, 0.1]]), torch.tensor([0, 1])
    assert [top_accuracy(z, truth, k) for k in (1, 2, 5)] == [0.5, 1.0, 1.0]
