"""Benchmark: frame rate of the explorer with 20,000 samples, three spaces and pictures, in headless Chromium without a GPU.

python scripts/bench/explorer.py [page=FILE.html]

For each act: the milliseconds to the next frame, and CPU of the page's own thread and of the process that draws, which
stands in for a GPU here. `page` measures a page that is there already.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

N, WIDTH, CLASSES = 20_000, 64, 12
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--window-size=1500,1050"]  # fmt: skip
HELPERS = """
window.frame = () => new Promise(f => requestAnimationFrame(() => setTimeout(f, 0)));
window.map = document.querySelector('.plot'); window.area = map.querySelector('.nsewdrag');
window.box = area.getBoundingClientRect();
window.fire = (kind, x, y, held) => (document.querySelector('.dragcover') || area).dispatchEvent(new MouseEvent(kind,
  {bubbles: true, cancelable: true, clientX: box.left + x, clientY: box.top + y, buttons: held, view: window}));
window.colour = i => { const s = document.getElementById('label'); s.value = i; s.dispatchEvent(new Event('change')); };
"""
ACTS = {
    "nothing": "",
    "hover": "fire('mousemove', 60 + 5 * i, 80 + 4 * i, 0)",
    "pan": "if (!i) { document.querySelector('[data-tool=pan]').click(); await frame(); fire('mousedown', 200, 200, 1); }"
    " fire('mousemove', 200 + 3 * i, 200 + 2 * i, 1)",
    "let go": "if (!i) fire('mouseup', 290, 260, 0)",
    "zoom": "area.dispatchEvent(new WheelEvent('wheel', {bubbles: true, cancelable: true, clientX: box.left + 200,"
    " clientY: box.top + 200, deltaY: -20}))",
    "colour": "if (i < 4) colour((i + 1) % 2)",
    "select": "if (i < 4) document.querySelectorAll('#key .class')[i].click()",
}


def page(folder: Path) -> Path:
    """Made-up embeddings of N samples and a picture for each of 6,000, as a run keeps them."""
    import torch

    from multimodal_lab.evaluate.embeddings import Embeddings
    from multimodal_lab.report import explorer

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    species, whole = rng.integers(0, CLASSES, N), np.ones(N, dtype=bool)
    centres = rng.normal(size=(CLASSES, WIDTH))
    spaces = {name: (part * centres[species] + rng.normal(size=(N, WIDTH))).astype(np.float32)
              for name, part in (("rgb", 1.0), ("uv", 0.6), ("fused", 1.4))}  # fmt: skip
    Embeddings(
        spaces, dict.fromkeys(spaces, whole), {"species": species, "mass": rng.random(N)},
        {"species": [f"species {i}" for i in range(CLASSES)]}, [f"folder/{i:05d}.tif" for i in range(N)], np.arange(N),
        np.where(np.arange(N) % 2, "train", "test"), {k: v for k, v in spaces.items() if k != "fused"},
    ).save(folder / "embeddings")  # fmt: skip
    coarse = rng.integers(0, 255, (6000, 6, 6, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    np.savez_compressed(folder / "thumbnails.npz", rows=np.arange(6000), rgb=coarse, uv=255 - coarse)
    began = time.process_time()
    path = explorer.write(folder)
    print(f"page of {path.stat().st_size / 1e6:.0f} MB made in {time.process_time() - began:.1f} s CPU")
    return path


def spent(root: int) -> dict[str, float]:
    """CPU seconds so far of the browser's processes, by their kind."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
    mine, found = {root}, dict.fromkeys(("renderer", "gpu-process"), 0.0)
    for pid in sorted(parents):
        if int(parents[pid][1]) in mine:
            mine.add(pid)
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
            ticks = sum(map(int, parents[pid][11:13])) / os.sysconf("SC_CLK_TCK")
            for kind in found:
                found[kind] += ticks if f"--type={kind}" in words else 0
    return found


def measure(driver: Any, path: Path) -> None:
    """Open the page and print a row an act."""
    driver.set_script_timeout(300)
    driver.get(path.resolve().as_uri())
    while not driver.execute_script("return document.body.dataset.ready === 'yes'"):
        time.sleep(0.05)
    opened = driver.execute_script("return performance.now()")
    cpu = spent(driver.service.process.pid)
    print(
        f"opened in {opened / 1000:.1f} s, {cpu['renderer']:.1f} s CPU of the page, {cpu['gpu-process']:.1f} of drawing"
    )
    driver.execute_script(HELPERS)
    print(f"{'':8} {'to next frame, ms':>18} {'95th':>6} {'page, ms CPU':>13} {'drawing, ms CPU':>16}")
    for name, code in ACTS.items():
        before = spent(driver.service.process.pid)
        times = driver.execute_async_script(
            "const done = arguments[0]; (async () => { const t = []; for (let i = 0; i < 30; i++) { const s = performance.now();"
            f" {code}; await frame(); t.push(performance.now() - s); }} return t; }})().then(done, e => done([e.message]))"
        )
        after = spent(driver.service.process.pid)
        each = {"let go": 1, "colour": 4, "select": 4}.get(name, 30)
        page_, draw = (1000 * (after[k] - before[k]) / each for k in ("renderer", "gpu-process"))
        times = times[:each]
        late = sorted(times)[int(0.95 * len(times))] if len(times) > 1 else times[0]
        print(f"{name:8} {statistics.median(times):18.0f} {late:6.0f} {page_:13.0f} {draw:16.0f}", flush=True)


def main() -> None:
    """Print the table; says why where there is no browser."""
    try:
        from selenium import webdriver
    except ImportError:
        print("explorer: not measured: selenium is not installed (pip install -e '.[dev]')")
        return
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        print("explorer: not measured: no Chromium here (apt-get install chromium chromium-driver)")
        return
    given = dict(a.split("=", 1) for a in sys.argv[1:] if "=" in a)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(given["page"]) if "page" in given else page(Path(folder))
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for flag in [*FLAGS, f"--user-data-dir={folder}/profile"]:
            options.add_argument(flag)
        browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
        try:
            measure(browser, path)
        finally:
            browser.quit()


if __name__ == "__main__":
    main()
