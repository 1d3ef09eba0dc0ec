"""What is logged is a plain line, whatever form Hydra's handler has."""

import io
import logging

import pytest

from multimodal_lab.log import records


@pytest.fixture
def said(monkeypatch):
    """What the root logger writes, in Hydra's form, at the level that Hydra gives it."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logging.Formatter("[%(asctime)s][HYDRA] %(message)s"))
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [handler])
    monkeypatch.setattr(root, "level", logging.INFO)
    return out


def test_notes_are_plain_lines_and_fonts_are_none(said):
    records.plain()
    logging.getLogger("multimodal_lab.report").warning("no learning curves")
    logging.getLogger("matplotlib.font_manager").info("generated new fontManager")
    assert said.getvalue() == "no learning curves\n"


def test_a_file_of_the_log_keeps_its_form(said, tmp_path):
    file = logging.FileHandler(tmp_path / "log")
    form = logging.Formatter("%(asctime)s %(message)s")
    file.setFormatter(form)
    logging.getLogger().handlers.append(file)
    records.plain()
    file.close()
    assert file.formatter is form
