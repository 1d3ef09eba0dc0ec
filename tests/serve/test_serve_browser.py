"""The page in a real browser: what a person does with words, pictures and the keyboard, and that nothing else happens."""

import sys
from pathlib import Path

import pytest
from PIL import Image
from served_runs import COLOURS, HOSTILE, drawn, served

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
from browser import Page, start

READY = "return document.body.dataset.ready === 'yes'"
IDLE = "return document.getElementById('answers').getAttribute('aria-busy') === 'false'"
CARDS = "return [...document.querySelectorAll('.card')].map((c) => c.innerText)"


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    browser = start(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def opened(driver, client):
    return Page(driver, f"http://127.0.0.1:{client.port}/", READY)


@pytest.fixture
def page(opened):
    """The page as it opens."""
    opened.said()
    opened.driver.get(opened.url)
    opened.wait(READY)
    return opened


@pytest.fixture
def picture(tmp_path):
    Image.fromarray(drawn("blue", 77)).resize((64, 64)).save(tmp_path / "mine.png")
    return tmp_path / "mine.png"


def field(page, name):
    return page.driver.find_element("css selector", f"#field-{name}")


def choose(page, path, name="image"):
    page.driver.find_element("css selector", f"form[data-stream={name}] .file").send_keys(str(path))


def quiet(page, client):
    """Nothing went wrong by the console, and nothing was asked of another server."""
    errors, asked = page.said()
    assert not errors
    assert asked
    assert all(u.startswith((f"http://127.0.0.1:{client.port}/", "blob:", "data:")) for u in asked)


def test_words_and_enter_find_pictures(page, client):
    field(page, "text").send_keys("a red square\n")
    page.wait(IDLE)
    cards = page.js(CARDS)
    own = client.post("/api/retrieve", {"streams": {"text": "a red square"}, "top_k": 12})[1]["results"]
    assert [card.splitlines()[0] for card in cards] == [one["texts"]["text"][0] for one in own]
    page.wait(
        "return [...document.images].filter((i) => i.closest('.card')).every((i) => i.complete && i.naturalWidth === 16)"
    )
    said = page.js("return document.getElementById('said').innerText")
    assert said.startswith("12 nearest of image to text in ")
    assert client.model.checkpoint in said
    quiet(page, client)


def test_a_picture_finds_words_and_classes_at_once(page, client, picture):
    choose(page, picture)
    page.wait(IDLE)
    own = client.ask("POST", "/api/predict", picture.read_bytes(), {"Content-Type": "image/png"})[2]["answers"][
        "colour"
    ]
    assert page.js("return document.querySelector('#heads .verdict').innerText") == own["value"]
    rows = page.js("return [...document.querySelectorAll('#heads tr')].map((r) => r.innerText.split(/\\t/))")
    assert [row[0] for row in rows] == [one["class"] for one in own["probabilities"]]
    assert rows[0][-1] == f"{100 * own['probabilities'][0]['probability']:.1f} %"
    assert page.js("return document.getElementById('results').className") == "words"
    assert len(page.js(CARDS)) == 12
    assert page.js("return document.querySelector('.preview').naturalWidth") == 64
    quiet(page, client)


def test_classes_of_the_user_are_told_beside_the_heads(page, client, picture):
    field_of_classes = page.driver.find_element("css selector", "#classes")
    field_of_classes.send_keys("red square\nblue square")
    assert page.js("return document.getElementById('name').disabled")  # nothing to tell of is given
    choose(page, picture)
    page.wait(IDLE)
    titles = page.js("return [...document.querySelectorAll('#heads h3')].map((h) => h.innerText)")
    assert titles == ["of your classes", "colour"]
    field_of_classes.send_keys("\ngreen square")
    page.js("document.getElementById('name').click()")
    page.wait(IDLE)
    rows = page.js("return [...document.querySelectorAll('#heads > div:first-child .name')].map((r) => r.innerText)")
    assert sorted(rows) == ["blue square", "green square", "red square"]
    quiet(page, client)


def test_a_picture_may_be_dropped_anywhere_and_pasted(page, picture):
    content = list(picture.read_bytes())
    for kind in ("drop", "paste"):
        page.js(
            """const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(arguments[0])], 'one.png', {type: 'image/png'}));
            const event = arguments[1] === 'drop' ? new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true})
                : new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true});
            document.body.dispatchEvent(event);""",
            content, kind,
        )  # fmt: skip
        page.wait(IDLE)
        assert page.js("return document.querySelector('.prompt').innerText") == "one.png"
        assert len(page.js(CARDS)) == 12
        page.js("document.querySelector('form[data-stream=image] .clear').click()")
        assert page.js("return document.querySelector('.preview').hidden")
    assert page.js("return location.pathname") == "/"


def test_numbers_may_be_typed_where_a_picture_is_expected(page):
    page.js("document.querySelector('details').open = true")
    typed = (
        "const f = document.getElementById('field-image'); f.value = arguments[0]; f.dispatchEvent(new Event('input'))"
    )
    page.js(typed.replace("'input'", "'input', {bubbles: true}"), str(drawn("green", 5).transpose(2, 0, 1).tolist()))
    page.js("document.querySelector('form[data-stream=image] .find').click()")
    page.wait(IDLE)
    assert len(page.js(CARDS)) == 12
    assert page.js("return document.getElementById('wrong').hidden")


def test_the_search_follows_its_options(page, client):
    page.js("document.getElementById('k').value = 3; document.getElementById('of').value = 'text';"
            "document.getElementById('split').value = 'test'")  # fmt: skip
    field(page, "text").send_keys("a green square\n")
    page.wait(IDLE)
    asked = {"streams": {"text": "a green square"}, "top_k": 3, "of": "text", "split": "test"}
    own = client.post("/api/retrieve", asked)[1]["results"]
    assert [card.splitlines()[0] for card in page.js(CARDS)] == [one["texts"]["text"][0] for one in own]
    assert "3 nearest of text to text" in page.js("return document.getElementById('said').innerText")


def test_what_is_refused_is_said_and_the_page_goes_on(page, client, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture at all")
    choose(page, tmp_path / "broken.png")
    page.wait(IDLE)
    assert "image: no picture" in page.js("return document.querySelector('[role=alert]').innerText")
    (tmp_path / "words.txt").write_text("words")
    choose(page, tmp_path / "words.txt")
    assert "words.txt: text/plain; expected a PNG" in page.js("return document.querySelector('[role=alert]').innerText")
    field(page, "text").send_keys("a red square\n")
    page.wait(IDLE)
    assert page.js("return document.getElementById('wrong').hidden")
    assert len(page.js(CARDS)) == 12


def test_names_of_data_are_text_alone(page):
    field(page, "text").send_keys("number")
    page.js("document.getElementById('k').value = 40; document.getElementById('of').value = 'text'")
    field(page, "text").send_keys("\n")
    page.wait(IDLE)
    assert any(HOSTILE in card for card in page.js(CARDS))
    assert page.js("return window.hit") is None
    assert not page.js("return [...document.images].some((i) => i.getAttribute('src') === 'x')")


def test_the_keyboard_alone_does_it_all(page, picture):
    """Tab reaches every control, in the order of the page, and the one that has the focus is seen."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    field(page, "text").send_keys("a red square")
    choose(page, picture)
    page.wait(IDLE)
    page.js("document.querySelector('.skip').focus()")
    seen = []
    for _ in range(20):
        ActionChains(page.driver, duration=0).send_keys(Keys.TAB).perform()
        if page.js("return document.activeElement === document.body"):
            break  # once around
        seen.append(page.js("const e = document.activeElement; return e.id || e.className || e.tagName"))
        shown = page.js("const e = document.activeElement; return getComputedStyle(e).outlineStyle !== 'none'"
                        " || getComputedStyle(e.closest('.drop')).backgroundColor !== 'rgba(0, 0, 0, 0)'")  # fmt: skip
        assert shown, seen[-1]
    for name in ("field-text", "find", "clear", "file", "SUMMARY", "of", "split", "k", "tell"):
        assert name in seen, seen
    page.js(
        "document.getElementById('results').replaceChildren(); document.querySelector('form[data-stream=text] .find').focus()"
    )
    ActionChains(page.driver, duration=0).send_keys(Keys.ENTER).perform()
    page.wait("return document.querySelectorAll('.card').length === 12")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_and_can_be_read_on_a_phone_and_a_desk_by_day_and_night(page, picture, width, scheme):
    page.driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    page.driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    try:
        field(page, "text").send_keys("a red square\n")
        page.wait(IDLE)
        choose(page, picture)
        page.wait(IDLE)
        assert page.js("return document.documentElement.scrollWidth") <= width
        for what in ("body", ".card .id", ".soft", "button.find", "#heads .verdict", ".score"):
            assert contrast(page, what) >= 4.5, what
        columns = page.js(
            "return getComputedStyle(document.querySelector('main')).gridTemplateColumns.split(' ').length"
        )
        assert columns == (1 if width < 600 else 2)
        small = page.js("return [...document.querySelectorAll('button')].filter((b) => b.offsetHeight < arguments[0]).length",
                        40 if width < 600 else 30)  # fmt: skip
        assert not small
        page.driver.get(page.url + "docs")
        assert page.js("return document.documentElement.scrollWidth") <= width
        assert contrast(page, ".method") >= 4.5
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def contrast(page, what):
    """The contrast of a text with the nearest ground behind it (WCAG 2)."""
    text, ground = page.js(
        """let at = document.querySelector(arguments[0]); const text = getComputedStyle(at).color;
        while (at && getComputedStyle(at).backgroundColor === 'rgba(0, 0, 0, 0)') at = at.parentElement;
        return [text, getComputedStyle(at || document.body).backgroundColor];""",
        what,
    )
    lightness = []
    for colour in (text, ground):
        parts = [int(x) / 255 for x in colour[colour.index("(") + 1 : -1].split(",")[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        lightness.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    low, high = sorted(lightness)
    return (high + 0.05) / (low + 0.05)


def test_what_is_being_built_is_shown_with_how_far_it_is(driver, captioned, tmp_path, client):
    for i in range(12):
        Image.fromarray(drawn([*COLOURS][i % 4], 300 + i)).save(tmp_path / f"{i}.png")
    with served(captioned / "run") as other:
        other.gallery.contents, other.gallery.state, other.gallery.done, other.gallery.total = None, "building", 3, 12
        page = Page(
            driver, f"http://127.0.0.1:{other.port}/", "return document.getElementById('state-text').innerText !== ''"
        )
        assert (
            page.js("return document.getElementById('state-text').innerText")
            == "Embedding the run's own samples: 3 of 12"
        )
        assert page.js("return document.getElementById('state-bar').value") == 0.25
        field(page, "text").send_keys("red")
        assert page.js("return document.querySelector('form[data-stream=text] .find').disabled")
        other.gallery.contents, other.gallery.state = client.gallery.contents, "ready"
        page.wait(READY)
        assert page.js("return document.getElementById('state').hidden")
        field(page, "text").send_keys("\n")
        page.wait("return document.querySelectorAll('.card').length === 12")


def test_a_server_that_ended_is_told(driver, captioned):
    with served(captioned / "run") as other:
        page = Page(driver, f"http://127.0.0.1:{other.port}/", READY)
    field(page, "text").send_keys("red\n")
    page.wait("return !document.getElementById('wrong').hidden")
    assert "The server does not answer" in page.js("return document.getElementById('wrong').innerText")


def test_a_run_of_specimens_shows_the_fields_that_it_needs(driver, specimens):
    with served(specimens / "run") as other:
        page = Page(driver, f"http://127.0.0.1:{other.port}/", READY)
        assert page.js("return [...document.querySelectorAll('.field')].map((f) => f.dataset.stream)") == ["rgb", "uv"]
        assert page.js("return document.getElementById('tell').innerText") == "Tell species"
        assert "a picture" in page.js("return document.getElementById('title-rgb').innerText")


def test_sounds_and_videos_that_are_found_are_played_once_asked_for(driver, recorded):
    with served(recorded / "run") as other:
        page = Page(driver, f"http://127.0.0.1:{other.port}/", READY)
        page.js("document.getElementById('of').value = 'audio'")
        field(page, "text").send_keys("noise 3\n")
        page.wait("return document.querySelectorAll('.card').length === 12")
        assert page.js("return document.querySelectorAll('.card .play').length") == 24
        assert not [u for u in page.said()[1] if "/media/" in u]
        for sort, seconds in (("audio", 0.1), ("video", 0.75)):
            page.js("[...document.querySelectorAll('.card:first-child .play')].at(0).click()")
            page.wait(f"const m = document.querySelector('.card:first-child {sort}'); return m && m.readyState >= 2")
            long = page.js(f"return document.querySelector('.card:first-child {sort}').duration")
            assert long == pytest.approx(seconds, abs=0.06)
        quiet(page, other)
        other.gallery.contents.showing.media = lambda *_: None  # as of a file that went away
        page.js("document.querySelector('.card:nth-child(2) .play').click()")
        page.wait("return document.querySelector('.card:nth-child(2) .failed')")
        assert page.js("return document.querySelector('.failed').innerText").startswith("no sound or video ")
