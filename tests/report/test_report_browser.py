"""The explorer and a study's report in a real browser: what is seen, what happens, and that nothing else does."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from browser import Page, start
from made_run import COLOURS, run
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "study"))
from made import LEVELS, study
from test_report_study import HOSTILE

from multimodal_lab.report import explorer, style
from multimodal_lab.report import study as report
from multimodal_lab.report.explorer import near
from multimodal_lab.study.analysis import judge, results
from multimodal_lab.study.ledger import outcomes

NAMES = ("rgb", "uv", "fused")
HIT = "<img src=x onerror=window.hit=1>"


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    browser = start(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return run(folder), explorer.write(folder)


@pytest.fixture(scope="module")
def opened(driver, made):
    page = Page(driver, made[1])
    page.first = page.said()
    return page


@pytest.fixture
def page(opened):
    """The explorer as it opens: nothing selected, nothing under the pointer, whole maps."""
    opened.js("document.getElementById('clear').disabled || document.getElementById('clear').click()")
    choose(opened, 0)
    opened.point((5, 5))
    return opened


def choose(page, label):
    page.js(
        "const s = document.getElementById('label'); s.value = arguments[0]; s.dispatchEvent(new Event('change'))",
        label,
    )
    page.settle()


def place(page, panel, point):
    """Where in the window a panel's point is."""
    return page.js(
        "const p = document.querySelectorAll('.plot')[arguments[0]], k = arguments[1], t = p.data[0], f = p._fullLayout,"
        " b = p.getBoundingClientRect(); return [b.left + f.xaxis._offset + f.xaxis.l2p(t.x[k]),"
        " b.top + f.yaxis._offset + f.yaxis.l2p(t.y[k])]",
        panel,
        point,
    )


def rows(e, panel):
    return np.flatnonzero(e.present[NAMES[panel]])


def selected(page, e, wanted):
    """The rows that stand out, panel by panel; None where none do."""

    def look():
        found = page.js(
            "return [...document.querySelectorAll('.plot')].map(p => p.data[0].selectedpoints && [...p.data[0].selectedpoints])"
        )
        return [None if points is None else rows(e, i)[points].tolist() for i, points in enumerate(found)]

    return page.becomes(look, wanted)


def in_panels(e, chosen):
    """The rows of each panel that are among the chosen."""
    return [sorted({int(row) for row in chosen} & set(rows(e, i).tolist())) for i in range(3)]


def type_search(page, words):
    page.js(
        "const f = document.getElementById('find'); f.value = arguments[0]; f.dispatchEvent(new Event('input'))", words
    )


def pixels(page):
    return np.asarray(Image.open(io.BytesIO(page.driver.get_screenshot_as_png())).convert("RGB")).astype(int)


def test_opens_from_disk_without_a_word_to_anyone(opened):
    errors, asked = opened.first
    assert errors == []
    assert asked[0] == opened.url
    assert {u.split(":")[0] for u in asked[1:]} <= {"data", "blob"}
    assert opened.js("return document.querySelectorAll('script[src], link, iframe, object, embed, form').length") == 0


def test_each_panel_is_drawn_in_the_colours_of_the_classes(page):
    seen = pixels(page)
    for i in range(3):
        box = page.js("return document.querySelectorAll('.plot')[arguments[0]].getBoundingClientRect().toJSON()", i)
        part = seen[int(box["top"]) : int(box["bottom"]), int(box["left"]) : int(box["right"])]
        for shade in style.PALETTE[:3]:
            wanted = np.array([int(shade[k : k + 2], 16) for k in (1, 3, 5)])
            near_it = np.abs(part - (0.8 * wanted + 51)).max(2) < 12  # of 0.8 opacity on white
            assert near_it.sum() > 100, (i, shade)


def test_the_pointer_shows_the_sample_under_it(page, made):
    e, _ = made
    row = int(rows(e, 1)[17])
    page.point(place(page, 1, 17))
    page.wait("return !document.getElementById('tip').hidden")
    tip = page.js("return document.getElementById('tip').textContent")
    for word in (e.ids[row], e.classes["species"][e.targets["species"][row]], e.split[row]):
        assert word in tip
    middles = page.js(
        "return [...document.querySelectorAll('#tip canvas')].map(c => [...c.getContext('2d').getImageData(24, 24, 1, 1).data])"
    )
    np.testing.assert_allclose([m[:3] for m in middles], [COLOURS[row], 255 - COLOURS[row]], atol=12)
    page.point((5, 5))
    page.wait("return document.getElementById('tip').hidden")


def test_a_missing_modality_has_no_picture(page, made):
    e, _ = made
    row = 14  # lacks uv
    assert not e.present["uv"][row]
    page.point(place(page, 0, row))
    told = "return [...document.querySelectorAll('#tip .thumb')].map(t => [!!t.querySelector('canvas'), t.textContent])"
    wanted = [[True, "rgb"], [False, "no uvuv"]]
    assert page.becomes(lambda: page.js(told), wanted) == wanted


def test_a_label_gives_its_colours_and_its_key(page, made):
    e, _ = made
    for label, name in enumerate(("species", "mass", "split")):
        choose(page, label)
        colours = page.js("return [...document.querySelectorAll('.plot')].map(p => [...p.data[0].marker.color])")
        assert page.js("return document.querySelector('#key h2').textContent") == name
        for i, own in enumerate(colours):
            if name == "mass":
                mass = e.targets["mass"][rows(e, i)]
                ends = {0: "#440154", len(e) - 1: "#fde725"}  # of viridis
                assert all(own[k] == ends[row] for k, row in enumerate(rows(e, i)) if row in ends)
                assert [k for k, shade in enumerate(own) if shade == style.GREY] == np.flatnonzero(
                    np.isnan(mass)
                ).tolist()
                assert len(set(own)) > 30
            else:
                codes = e.targets["species"] if name == "species" else np.unique(e.split, return_inverse=True)[1]
                assert own == [style.PALETTE[c] for c in codes[rows(e, i)]]


@pytest.mark.parametrize("tool", ["select", "lasso"])
def test_a_selection_is_the_same_samples_in_every_panel(page, made, tool):
    e, _ = made
    page.js("document.querySelector(`[data-tool=${arguments[0]}]`).click()", tool)
    spots = np.array([place(page, 1, k) for k in range(len(rows(e, 1)))])
    low, high = np.quantile(spots, [0.1, 0.6], axis=0).round()
    path = [low, (high[0], low[1]), high, (low[0], high[1]), low] if tool == "lasso" else [low, high]
    page.point(*path, press=True)
    wanted = rows(e, 1)[((spots > low) & (spots < high)).all(1)]
    assert 3 < len(wanted) < 30
    assert selected(page, e, in_panels(e, wanted)) == in_panels(e, wanted)
    shown = page.js("return [...document.querySelectorAll('#selection .thumb')].map(t => Number(t.dataset.row))")
    assert shown == wanted.tolist()
    assert f"{len(wanted)} of {len(e)}" in page.js("return document.getElementById('selection').textContent")
    page.js("document.getElementById('clear').click()")
    assert selected(page, e, [None] * 3) == [None] * 3


def test_shift_adds_to_what_is_selected(page, made):
    e, _ = made
    page.js("document.querySelectorAll('#key .class')[1].click()")
    page.js("document.querySelector('[data-tool=select]').click()")
    spots = np.array([place(page, 0, k) for k in range(len(rows(e, 0)))])
    low, high = np.quantile(spots, [0.2, 0.5], axis=0).round()
    within = rows(e, 0)[((spots > low) & (spots < high)).all(1)]
    of = np.flatnonzero(e.targets["species"] == 1)
    assert {*within} - {*of}
    page.point(low, high, press=True, key="\ue008")
    wanted = in_panels(e, {*of, *within})
    assert selected(page, e, wanted) == wanted


def test_a_class_and_a_search_select(page, made):
    e, _ = made
    page.js("document.querySelectorAll('#key .class')[1].click()")
    wanted = in_panels(e, np.flatnonzero(e.targets["species"] == 1))
    assert selected(page, e, wanted) == wanted
    type_search(page, "DIR/01")
    wanted = in_panels(e, range(10, 20))
    assert selected(page, e, wanted) == wanted


def test_a_click_shows_the_nearest_in_every_space(page, made):
    e, _ = made
    row = int(rows(e, 2)[23])
    page.point(place(page, 2, 23), press=True)
    page.wait("return document.querySelector('.near') !== null")
    found = page.js(
        "return [...document.querySelectorAll('.near')].map(n => [n.dataset.query, n.dataset.key,"
        " [...n.querySelectorAll('.thumb')].map(t => Number(t.dataset.row))])"
    )
    assert [tuple(f[:2]) for f in found] == [*((n, n) for n in NAMES), ("rgb", "uv"), ("uv", "rgb")]
    for query, key, own in found:
        x, y = (e.vectors[key],) * 2 if query == key else (e.projected[query], e.projected[key])
        x, y = (v.astype(float) / np.linalg.norm(v, axis=1, keepdims=True).clip(1e-12) for v in (x, y))
        keys = np.flatnonzero(e.present[key] & ((np.arange(len(e)) != row) | (query != key)))
        assert own == keys[np.argsort(-(y[keys] @ x[row]))[: near.K]].tolist()
        nearest = page.js(
            "return document.querySelector(`.near[data-query='${arguments[0]}'] .words`).textContent", query
        )
        if query == key:
            assert nearest == f"{y[own[0]] @ x[row]:.2f}"
    page.js("document.querySelector('.near[data-key=uv] .thumb').click()")
    assert page.js("return document.querySelector('#sample .id').textContent") == e.ids[found[1][2][0]]


def test_what_a_sample_says_stands_under_the_pointer_and_is_searched(driver, tmp_path):
    said = [[f"a {['red', 'blue'][i % 2]} thing, number {i}", HIT] if i % 3 else [] for i in range(48)]
    e = run(tmp_path, pictures=False, said={"uv": said})
    page = Page(driver, explorer.write(tmp_path))
    page.point(place(page, 0, 5))
    texts = "return [...document.querySelectorAll('#tip .caption q')].map(q => q.textContent)"
    assert page.becomes(lambda: page.js(texts), said[5]) == said[5]
    assert page.js("return document.querySelector('#tip .caption .soft').textContent") == "uv"
    page.point(place(page, 0, 6))  # says nothing
    assert page.becomes(lambda: page.js(texts), []) == []
    type_search(page, "BLUE thing")
    wanted = in_panels(e, [i for i in range(48) if i % 3 and i % 2])
    assert selected(page, e, wanted) == wanted
    type_search(page, "number 17")
    captions = "return [...document.querySelectorAll('#sample .caption q')].map(q => q.textContent)"
    assert page.becomes(lambda: page.js(captions), said[17]) == said[17]
    nearest = page.js(
        "return [...document.querySelectorAll('.near[data-query=rgb][data-key=uv] .spoken')].map(s => s.textContent)"
    )
    assert nearest
    assert {*nearest} <= {own[0] for own in said if own}
    assert page.js("return window.hit") is None
    assert page.js("return document.querySelectorAll('img').length") == 0
    assert page.said()[0] == []


def test_hostile_words_stay_words(driver, tmp_path):
    """In the place of every word that a file can choose; each is shown, pointed at, picked and selected."""
    words = [*HOSTILE, HIT, "<svg onload=window.hit=1>", "<script>window.hit=1</script>",
             "</script><script>window.hit=1</script>",
             '<a href="javascript:window.hit=1">x</a>', "__proto__", "constructor"]  # fmt: skip
    e = run(tmp_path / HIT, n=len(words), ids=words, classes=words, label=HIT, split=(HIT, words[-3]),
            names=(HIT, "<b onmouseover=window.hit=1>"), said={HIT: [[w, *words] for w in words]})  # fmt: skip
    page = Page(driver, explorer.write(tmp_path / HIT, tmp_path / "page.html"))
    assert page.js("return document.querySelectorAll('#key .class').length") == len(words)
    page.js("[...document.querySelectorAll('#key .class')].slice(-3).forEach(c => c.click())")
    for label in range(3):
        choose(page, label)
    for row in range(0, len(words), 12):
        page.point(place(page, 0, row))
        page.point(place(page, 0, row), press=True)
    page.settle()
    errors, asked = page.said()
    assert errors == []
    assert {u.split(":")[0] for u in asked} == {"file", "data"}
    assert [u for u in asked if u.startswith("file")] == [page.url]
    assert page.js("return window.hit") is None
    assert page.js("return document.querySelectorAll('script').length") == 3
    assert (
        page.js("return document.querySelectorAll('img, iframe, a, form, base, embed, object, video, math').length")
        == 0
    )
    handlers = "return [...document.querySelectorAll('*')].filter(n => [...n.attributes].some(a => /^on/i.test(a.name))).length"
    assert page.js(handlers) == 0
    text = page.js("return document.body.textContent")
    assert HIT in text
    assert len(e) == len(words)


def test_the_policy_stops_what_would_run_or_fetch(page):
    """A script that got in all the same: the browser refuses it, an image from elsewhere, and a fetch."""
    page.said()
    page.driver.execute_async_script("""
        const done = arguments[0], body = document.body, script = document.createElement('script'), image = new Image();
        script.textContent = 'window.hit = 2';
        body.append(script);
        body.insertAdjacentHTML('beforeend', '<i id=bad onclick="window.hit = 3"></i>');
        document.getElementById('bad').click();
        image.onerror = () => fetch('http://127.0.0.1:9/x').then(() => { window.hit = 4; }, () => {}).then(() => done());
        image.src = 'http://127.0.0.1:9/x.png';""")
    assert page.js("return window.hit") is None
    errors, _ = page.said()
    assert sum("Content Security Policy" in line for line in errors) >= 4
    page.js("document.getElementById('bad').remove(); document.querySelector('body > script:last-child').remove()")


def test_without_webgl_it_is_drawn_all_the_same(driver, made):
    e, path = made
    code = "const g = HTMLCanvasElement.prototype.getContext; HTMLCanvasElement.prototype.getContext = function (kind, ...w) {"
    code += " return /webgl/.test(kind) ? null : g.call(this, kind, ...w); }"
    script = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": code})
    try:
        page = Page(driver, path)
    finally:
        driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
    assert page.said()[0] == []
    assert "without WebGL" in page.js("return document.getElementById('facts').textContent")
    drawn = page.js(
        "return [...document.querySelectorAll('.plot')].map(p => p.querySelectorAll('.points path').length)"
    )
    assert drawn == [len(rows(e, i)) for i in range(3)]
    page.point(place(page, 0, 5))
    page.wait("return !document.getElementById('tip').hidden")
    assert e.ids[5] in page.js("return document.getElementById('tip').textContent")


def test_a_study_report_runs_no_script_shows_verdicts_first_and_leads_to_the_explorer(driver, made, tmp_path):
    folder = study(
        tmp_path / "mine", {**LEVELS, "drop": 0.0}, subsets="drop", labels=("sex", "species"), seeds=(0, 1, 2)
    )
    found = outcomes.load(folder)
    (folder / "study.json").write_text(json.dumps(results.record(found, judge.judge(found))))
    (folder / report.EXPLORER).write_bytes(made[1].read_bytes())
    report.write(folder)
    page = Page(driver, folder / "report.html", "return document.readyState === 'complete'")
    errors, asked = page.said()
    assert errors == []
    assert {u.split(":")[0] for u in asked[1:]} == {"data"}
    assert page.js("return document.querySelectorAll('script, iframe, form').length") == 0
    sizes = page.js("return [...document.images].map(i => [i.naturalWidth, i.getBoundingClientRect().width])")
    assert len(sizes) >= 4
    assert all(natural > 100 and wide > 100 for natural, wide in sizes)
    cards = page.js("return [...document.querySelectorAll('.card')].map(c => c.getBoundingClientRect().bottom)")
    assert len(cards) == 2
    assert max(cards) < page.js("return document.querySelector('section h2').getBoundingClientRect().top")
    assert max(cards) < page.js("return window.innerHeight")
    assert page.js("return document.documentElement.scrollWidth <= window.innerWidth")
    page.js("const s = document.createElement('script'); s.textContent = 'window.hit = 1'; document.body.append(s)")
    assert page.js("return window.hit") is None
    assert page.js("return [...document.querySelectorAll('a')].map(a => a.getAttribute('href'))") == [report.EXPLORER]
    page.js("document.querySelector('a').click()")
    page.wait("return location.pathname.endsWith('/mine/explorer.html') && document.body.dataset.ready === 'yes'")


def test_a_narrow_window_has_one_map_below_the_other(driver, opened):
    where = "return [...document.querySelectorAll('.panel')].map(p => [p.getBoundingClientRect().left, p.clientWidth])"
    drawn = "return [...document.querySelectorAll('.plot')].map(p => p._fullLayout.width)"
    phone = {"width": 390, "height": 1400, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        assert opened.becomes(lambda: len({left for left, _ in opened.js(where)}), 1) == 1
        (width,) = {width for _, width in opened.js(where)}
        assert opened.becomes(lambda: {*opened.js(drawn)} == {width}, True)
        assert opened.js("return document.documentElement.scrollWidth") <= 390
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert opened.becomes(lambda: len({left for left, _ in opened.js(where)}), 3) == 3
