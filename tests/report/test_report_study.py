"""The report says what study.json says, runs nothing, and is always the same."""

import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "study"))
from made import LEVELS, study

from multimodal_lab.report.study import ReportError, write
from multimodal_lab.report.study.elements import number, points, pvalue, spread
from multimodal_lab.study.analysis import judge, results
from multimodal_lab.study.ledger import outcomes

HOSTILE = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"><svg/onload=alert(1)>", "'><iframe src=javascript:1>",
    "javascript:alert(1)", "[a](javascript:alert(1))", "![x](http://evil/x.png)", "</td></table><script>1</script>",
    "{{ 7*7 }}", "{% raw %}", "${7*7}", "$\\frac{1}{0$", "</title><script>1</script>", "<!--", "]]>", "--><b>", "a|b|c",
    "`code`<b>", "<a href='http://evil'>x</a>", "&lt;script&gt;", "&#60;script&#62;", "\u202egpj.exe", "x\x00y", "x\x1b[31m",
    "line\nbreak<b>", "\u2028<script>", "<base href=//evil>", "<meta http-equiv=refresh content=0>", "<style>*{}</style>",
    "<object data=x>", "<embed src=x>", "<form action=x>", "<math><mi//xlink:href='data:x'>", "data:text/html,<script>",
    "on mouseover=alert(1)", "\" onmouseover=\"alert(1)", "' autofocus onfocus='1", "<details open ontoggle=1>", "<video src=x>",
    "a" * 5000, "<b" * 200, "\\", "\\<", "http://evil.example", "www.evil.example", "<http://evil>", "me@evil.example",
    "# heading", "- item", "1. item", "> quote", "***", "___", "~~~", "```", "<u>", "%3Cscript%3E", "\ufeff<b>", "𝕏<b>", "🦜<i>",
]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = study(
        tmp_path_factory.mktemp("report") / "mine",
        levels={**LEVELS, "drop": 0.0},
        subsets="drop",
        labels=("sex", "species"),
    )
    found = outcomes.load(folder)
    told = results.record(found, judge.judge(found))
    told["overlap"] = {
        "measures": [{"between": ["rgb", "uv"], "name": "linear CKA", "value": 0.31, "low": 0.2, "high": 0.4, "null": 0.0,
                      "p": 0.01, "n": 90},
                     {"between": ["uv"], "name": "uniformity", "value": -3.1, "low": -3.2, "high": -3.0, "null": None,
                      "p": None, "n": 90}],
        "notes": ["rgb and uv: 5 groups, expected 7 or more"],
        "information": {"sex": {"redundant": {"value": 0.5, "low": 0.4, "high": 0.6, "p": 0.02}}},
    }  # fmt: skip
    told["audit"] = {"findings": [{"kind": "group leak", "where": "split 0", "sentence": "bird 3 is in two", "void": True}],
                     "leak_gap": {"sex": {"random": 0.9, "grouped": 0.7, "gap": 0.2, "low": 0.1, "high": 0.3}}}  # fmt: skip
    told["cells"]["failed"] = [{"cell": "rgb-s0", "why": "DataError: gone"}]
    return told


def written(folder, made):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.json").write_text(json.dumps(made))
    return {p.name: p for p in write(folder)}


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words = [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {k for k, _ in attrs}
        self.attributes |= {f"src={v[:11]}" for k, v in attrs if k in ("src", "href")}

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def once(tmp_path_factory, made):
    return written(tmp_path_factory.mktemp("once"), made)


def test_every_number_is_there(made, once):
    files = once
    text = " ".join(Tags(files["report.html"].read_text()).words)
    plain = files["report.md"].read_text().replace("\\", "")
    for label, own in made["labels"].items():
        wanted = [
            label,
            own["answer"]["sentence"],
            own["verdict"]["sentence"],
            *(spread(a) for a in own["arms"].values()),
        ]
        for c in own["comparisons"]:
            wanted += [points(c["gain"]), pvalue(c["gain"]["p"]), c["need"], *c["notes"], "/".join(map(str, c["wins"]))]
            wanted += [points(k[what]) for k in c["controls"] if c["better"] for what in ("gain", "lead")]
        for d in own["answer"]["directions"]:
            wanted += [d["sentence"], f"{d['kind']} over {d['over']}", f"{d['arm']}: {points(d['gain'])}"]
        assert len(own["answer"]["directions"]) == 2
        wanted += [spread(v) for v in made["subsets"][label]["shapley"].values()]
        wanted += [number(m) for c in own["by_class"].values() for m in c["mean"].values()]
        for word in [
            *wanted,
            "DataError: gone",
            "linear CKA",
            "bird 3 is in two",
            "+20.0 points [+10.0, +30.0]",
            made["command"],
        ]:
            assert word in text, word
            assert word in plain, word
    for said in (
        "adjusted by Holm",
        "95 % each and unadjusted",
        "over runs only, not over samples",
        "accuracy, chance .50",
    ):
        assert said in text, said
        assert said in plain, said
    assert {"arms.svg", "gains.pdf", "shapley.svg", "missing.pdf"} <= files.keys()
    answer = made["labels"]["sex"]["answer"]
    assert (
        text.index(answer["sentence"])
        < text.index(answer["directions"][0]["sentence"])
        < text.index("Scores of each arm")
    )


def test_two_writings_are_the_same_bytes(tmp_path, made, once):
    one, two = once, written(tmp_path, made)
    assert one.keys() == two.keys()
    assert all(one[name].read_bytes() == two[name].read_bytes() for name in one)


def test_hostile_words_never_become_markup(tmp_path, made, once):
    """In the place of every word that a file can choose, one field after another."""
    clean = Tags(once["report.html"].read_text())
    for start in range(0, len(HOSTILE), 29):
        words = iter((HOSTILE * 2)[start : start + 29])
        bad = json.loads(json.dumps(made))
        own = bad["labels"]["sex"]
        bad["study"], bad["command"], own["answer"]["sentence"] = next(words), next(words), next(words)
        own["answer"]["directions"][0] |= {k: next(words) for k in ("kind", "over", "arm", "sentence")}
        own["answer"]["directions"][1]["kind"], own["arms"]["rgb"]["role"], own["arms"]["rgb"]["stream"] = (
            next(words),
            "baseline",
            next(words),
        )
        c = next(c for c in own["comparisons"] if c["better"])
        c["need"], c["notes"], c["verdict"]["kind"], c["controls"][0]["name"] = (next(words), [next(words)], next(words),
                                                                                  next(words))  # fmt: skip
        bad["cells"]["failed"] = [{"cell": next(words), "why": next(words)}]
        bad["warnings"], bad["source"], bad["data"] = [*made["warnings"], next(words)], next(words), next(words)
        bad["audit"]["findings"][0] |= {"kind": next(words), "where": next(words), "sentence": next(words)}
        bad["overlap"]["measures"][0]["name"] = next(words)
        bad["labels"][next(words)] = bad["labels"].pop("species")
        own["by_class"][next(words)] = own["by_class"].pop("f")
        own["where"][0]["rows"][0]["name"], own["where"][0]["column"], own["acquire"][0]["sentence"] = (
            next(words) for _ in "abc"
        )
        own["only_fusion"]["samples"][0] |= {"id": next(words), "truth": next(words), "picture": "../study.json"}
        files = written(tmp_path / str(start), bad)
        page = files["report.html"].read_text()
        found = Tags(page)
        assert set(found.tags) == set(clean.tags)
        assert found.attributes == clean.attributes
        assert not {"script", "iframe", "a", "form", "base"} & set(found.tags)
        assert {a for a in found.attributes if a.startswith("src=")} == {"src=data:image/"}
        assert "Content-Security-Policy" in page
        told = [
            t for t in files["report.md"].read_text().splitlines() if not t.startswith("    ")
        ]  # code stays as it is
        assert not any(re.search(r"(?<!\\)[<>`]", t.replace("\\\\", "")) for t in told)
        assert not any("](javascript" in t for t in told)
        assert not any("://evil" in t for t in told)


def test_uniformity_has_no_chance_level_and_what_is_not_told_is_said(tmp_path, made):
    files = written(tmp_path, made)
    told = files["report.md"].read_text().replace("\\", "")
    assert "| uv | uniformity | -3.10 [-3.20, -3.00] | – | – |" in told
    for name in ("report.md", "report.html"):
        assert "rgb and uv: 5 groups, expected 7 or more" in files[name].read_text()


def test_sections_without_data_are_left_out(tmp_path, made):
    bare = {**made, "subsets": None, "overlap": None, "audit": None}
    files = written(tmp_path, bare)
    text = files["report.html"].read_text()
    assert not any(word in text for word in ("Shapley", "Overlap of", "Audit of"))
    assert "shapley.svg" not in files


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "not there"), ("{", "not whole JSON"), ("[]", "is a list"), ('{"labels": {}}', "question is NoneType"),
     ("broken", "not as a study writes it")],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path, made, content, says):
    if content == "broken":
        broken = json.loads(json.dumps(made))
        del broken["labels"]["sex"]["comparisons"][0]["gain"]
        content = json.dumps(broken)
    if content is not None:
        (tmp_path / "study.json").write_text(content)
    with pytest.raises(ReportError, match=says) as error:
        write(tmp_path)
    assert "study.json" in str(error.value)


def test_numbers_are_told_as_the_field_writes_them():
    assert [number(x) for x in (None, 0.7912, 0.05, -0.5, 1.0, 12.3456)] == [
        "–",
        ".79",
        ".050",
        "-.50",
        "1.00",
        "12.35",
    ]
    assert points({"mean": 0.012, "low": -0.004, "high": None}) == "+1.2 points"
    assert [pvalue(p) for p in (0.0001, 0.0312, 1.0, None)] == ["< .001", ".031", "1.000", "–"]
