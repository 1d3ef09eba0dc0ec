"""A headless Chromium that tests drive, and what it says of a page; where there is none, a test skips and says so."""

import json
import shutil
import time

import pytest

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
         "--force-device-scale-factor=1", "--window-size=1500,1050"]  # fmt: skip


def start(folder):
    """A browser with an empty profile in `folder`; never a download of a driver."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install -e '.[dev]'")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no Chromium here: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in [*FLAGS, f"--user-data-dir={folder}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


class Page:
    """An open page, a file or an address: what it was seen to do since it was opened, and a real pointer."""

    def __init__(self, driver, path, wait="return document.body.dataset.ready === 'yes'"):
        self.driver, self.url = driver, path if isinstance(path, str) else path.resolve().as_uri()
        driver.get("about:blank")
        self.said()
        driver.get(self.url)
        self.wait(wait)

    def wait(self, code):
        """Until a piece of script gives true; a minute at most."""
        end = time.monotonic() + 60
        while not self.driver.execute_script(code):
            assert time.monotonic() < end, f"never came: {code}; {self.driver.get_log('browser')}"
            time.sleep(0.02)

    def becomes(self, look, wanted):
        """What `look()` gives once it is `wanted`, or after ten seconds: a page acts by timers of its own, Plotly too."""
        end = time.monotonic() + 10
        while (found := look()) != wanted and time.monotonic() < end:
            time.sleep(0.02)
        return found

    def said(self):
        """(what went wrong by the console, what was asked for by address) since the last call."""
        errors = [line["message"] for line in self.driver.get_log("browser") if line["level"] == "SEVERE"]
        events = [json.loads(line["message"])["message"] for line in self.driver.get_log("performance")]
        asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
        return errors, [u for u in asked if not u.startswith(("chrome:", "about:"))]

    def js(self, code, *words):
        """What a piece of script gives; it runs as the driver's own, not as the page's."""
        return self.driver.execute_script(code, *words)

    def settle(self):
        """Until two frames have been drawn."""
        self.driver.execute_async_script(
            "const f = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => f()))"
        )

    def point(self, *places, press=False, key=""):
        """Move the pointer through places (x, y) of the window, the button held from the first to the last if `press`.

        key: held meanwhile.
        """
        from selenium.webdriver.common.action_chains import ActionChains

        chain = ActionChains(self.driver, duration=30)
        if key:
            ActionChains(self.driver, duration=0).key_down(key).perform()
        pointer = chain.w3c_actions.pointer_action
        for i, (x, y) in enumerate(places):
            pointer.move_to_location(round(x), round(y))
            if press and i == 0:
                pointer.pointer_down()
        if press:
            pointer.pointer_up()
        chain.perform()
        if key:
            ActionChains(self.driver, duration=0).key_up(key).perform()
        self.settle()
