"""The pages of docs/extend as a stranger would use them: files copied, the package built and installed, commands run."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import forked

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "extend"
PAGES = sorted(p.stem for p in FOLDER.glob("*.md") if p.stem != "README")
_FILE = re.compile(r"^`([^`\n]+)`\n\n```\w+\n(.*?)^```$", re.M | re.S)  # a path alone on its line, then its content
_RUN = re.compile(r"^```bash\n(.*?)^```$", re.M | re.S)
_MODULE = re.compile(r"`multimodal_lab/([\w/]+)\.py`")
_TARGET = re.compile(r"`_target_: ([\w.]+)`")


@dataclass
class Page:
    """One page: its files by path, its commands, and where its modules go inside this repository, by their name."""

    name: str
    files: dict[str, str]
    commands: list[str]
    inside: dict[str, str]

    @property
    def modules(self) -> list[str]:
        """Of the package."""
        return [path for path in self.files if path.startswith("my_lab/")]


def page(name: str) -> Page:
    """`docs/extend/name.md`."""
    text = (FOLDER / f"{name}.md").read_text()
    commands = [line for block in _RUN.findall(text) for line in block.splitlines()]
    end = text[text.rindex("Inside this repository") :]
    inside = {path.rpartition("/")[2]: path for path in _MODULE.findall(end)}
    (target,) = _TARGET.findall(end)
    dotted = [f"multimodal_lab.{path.replace('/', '.')}" for path in inside.values()]
    assert target.rpartition(".")[0] in dotted, f"{name}.md: {target} is not of {', '.join(dotted)}"
    return Page(name, dict(_FILE.findall(text)), commands, inside)


def copy(page: Page, folder: Path) -> None:
    """Every file of the page at its path, and an empty __init__.py."""
    for path, content in page.files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
    (folder / "my_lab" / "__init__.py").touch()


def install(folder: Path) -> Path:
    """Build the package's wheel as pip does, and unpack it; gives the folder to put on the path."""
    site = folder / "site"
    words = ["build", "-t", "wheel", "-d", str(folder / "dist")]
    done = forked.command("hatchling", words, folder, {**os.environ, **forked.OWN})
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (folder / "dist").glob("*.whl")
    zipfile.ZipFile(wheel).extractall(site)
    return site


def called(words: list[str], cwd: Path, *path: Path) -> str:
    """The output of a command that must end with exit 0; `path` comes before this repository."""
    found = os.pathsep.join(map(str, [*path, ROOT]))
    env = {**os.environ, "PYTHONPATH": found, "OMP_NUM_THREADS": "1"}
    if words[:2] == [sys.executable, "-m"] and words[2].startswith(("multimodal_lab.", "pytest")):
        done = forked.command(words[2], words[3:], cwd, env)
    else:
        done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, f"{words}: exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def joined(pages: list[Page], folder: Path) -> None:
    """The files of all pages in one package, with the entry points of all."""
    points: dict[str, dict[str, str]] = {}
    for one in pages:
        copy(one, folder)
        for group, found in tomllib.loads(one.files["pyproject.toml"])["project"]["entry-points"].items():
            points.setdefault(group, {}).update(found)
    lines = [pages[0].files["pyproject.toml"].partition("[project.entry-points")[0]]
    for group, found in points.items():
        lines += [f'[project.entry-points."{group}"]', *(f'{name} = "{value}"' for name, value in found.items())]
    (folder / "pyproject.toml").write_text("\n".join(lines) + "\n")


def into_repository(pages: list[Page], folder: Path) -> dict[str, str]:
    """A copy of this repository with every page's part inside it; gives {page: the words of its run}."""
    for name in ("multimodal_lab", "conf", "hydra_plugins"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for one in pages:
        moved = {path: f"multimodal_lab/{one.inside[Path(path).stem]}.py" for path in one.modules}
        for path, content in one.files.items():
            if path.startswith(("my_lab/", "conf/")):
                place = folder / moved.get(path, path)
                assert not place.exists(), f"{one.name}.md: {path} is there already"
                for old, new in moved.items():
                    content = content.replace(*(p.removesuffix("py").replace("/", ".") for p in (old, new)))
                place.write_text(content)
    return {one.name: one.commands[-1].split(" -m multimodal_lab.run ")[1] for one in pages}
