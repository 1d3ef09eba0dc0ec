"""Zero-shot answers of a trained run, from Python and from the command line."""

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from multimodal_lab.data.source import DataError
from multimodal_lab.evaluate.temperature import of_losses
from multimodal_lab.predict import load
from multimodal_lab.predict.zero_shot_command import listed, parsed

CLASSES = ["picture", "of", "three"]


@pytest.fixture(scope="module")
def predictor(captioned):
    return load(captioned[0], "cpu")


def test_it_is_the_softmax_of_cosines_with_what_the_text_tower_says(captioned, predictor):
    files = [str(captioned[1] / f"img/{i}.png") for i in range(5)]
    templates = ["a {}", "{} 3"]
    found = predictor.zero_shot(image=[*files, None], text=[None] * 5 + ["here"], classes=CLASSES, templates=templates)
    image = predictor.embed(image=files).projected["image"]
    text = predictor.embed(text=[t.replace("{}", c) for c in CLASSES for t in templates]).projected["text"]
    unit = F.normalize(F.normalize(torch.as_tensor(text), dim=1).view(3, 2, -1).mean(1), dim=1)
    z = F.normalize(torch.as_tensor(image), dim=1) @ unit.T
    temperature = of_losses(predictor.system)
    assert temperature == pytest.approx(0.07, abs=0.01)
    answer = found["class"]
    np.testing.assert_allclose(answer.probability[:5], (z / temperature).softmax(1), atol=1e-5)
    assert list(answer.value[:5]) == [CLASSES[i] for i in z.argmax(1)]
    assert answer.value[5] is None
    assert np.isnan(answer.probability[5]).all()
    assert list(found.table().columns) == ["id", "class", *(f"class/{c}" for c in CLASSES)]
    flat = predictor.zero_shot(image=files, classes=CLASSES, templates=templates, temperature=10.0)["class"]
    np.testing.assert_allclose(flat.probability, (z / 10).softmax(1), atol=1e-5)


def test_several_names_of_a_class_are_joined(captioned, predictor):
    files = [str(captioned[1] / "img/0.png")]
    one = predictor.zero_shot(image=files, classes={"a": ["picture", "of"], "b": "three"}, templates="{}")["class"]
    other = predictor.zero_shot(image=files, classes={"a": "picture", "b": "three"}, templates="{}")["class"]
    assert one.classes == ["a", "b"]
    assert abs(one.probability - other.probability).max() > 1e-4


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"classes": ["a"]}, "zero_shot: classes has 1, expected two or more"),
        ({"classes": ["a", "a"]}, "zero_shot: classes: the name 'a' stands there twice"),
        ({"classes": CLASSES, "templates": ["a photo"]}, "zero_shot: templates: the template 'a photo' has no {}"),
        ({"classes": CLASSES, "temperature": 0}, "zero_shot: temperature: expected a number > 0, .*; found 0"),
        ({"classes": CLASSES, "prompt_stream": "image"}, "prompt_stream=image: no text stream of this name"),
        ({"classes": CLASSES, "text": ["a"]}, "the samples hold nothing but text, which reads the prompts"),
    ],
)
def test_what_can_not_be_asked_is_refused(captioned, predictor, asked, said):
    given = {} if "text" in asked else {"image": [str(captioned[1] / "img/0.png")]}
    with pytest.raises(DataError, match=said):
        predictor.zero_shot(**given, **asked)


def test_classes_come_from_a_list_or_a_file(tmp_path):
    assert listed('[a, "b, c", d|e]') == ["a", "b, c", "d|e"]
    assert parsed("[a, d | e]") == {"a": ["a"], "d": ["d", "e"]}
    (tmp_path / "own.txt").write_text("a\n\n d, e | f\n")
    assert parsed(str(tmp_path / "own.txt")) == {"a": ["a"], "d, e": ["d, e", "f"]}


def test_a_folder_becomes_a_table_of_classes(captioned, call, tmp_path):
    run, kept = captioned
    words = [f"run={run}", f"data.root={kept}", "classes=[picture, of|three]", 'templates=["a {}", "the {}"]']
    told = call(*words, f"out={tmp_path}/said.csv")
    assert told.startswith("40 samples by ")
    assert "class: " in told
    found = pd.read_csv(tmp_path / "said.csv")
    assert list(found.columns) == ["id", "class", "class/picture", "class/of"]
    np.testing.assert_allclose(found["class/picture"] + found["class/of"], 1, atol=1e-6)
    call(*words)
    assert len(pd.read_csv(run / "zero_shot.csv")) == 40


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["classes=/nowhere.txt"], "classes=/nowhere.txt: No such file or directory; expected a text file, one a line"),
        (["classes=[a,b,a]"], "classes: 'a' stands there twice; give each once"),
        (["classes=[a,b]", "templates=[a]"], "templates: the template 'a' has no {}"),
        (
            ["classes=[a,b]", "templates=simpel"],
            "templates=simpel: expected one of simple, imagenet, sound; nearest: simple",
        ),
        (["classes=[a,b]", "temperature=hot"], "temperature=hot: expected a number > 0"),
        (["templates=simple"], "templates=simple: only data=… and data.KEY=… can be given"),
    ],
)
def test_words_that_can_not_be_followed_are_one_sentence(captioned, call, words, said):
    run, kept = captioned
    assert said in call(f"run={run}", f"data.root={kept}", *words)
