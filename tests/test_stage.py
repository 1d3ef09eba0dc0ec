"""An error of a component is told with its type, place and stage; a sentence of ours as it is."""

from functools import partial
from pathlib import Path

import pytest

from multimodal_lab import files, stage
from multimodal_lab.build import build
from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.fusion.concat import Concat


def told(work, *args, **kwargs):
    with pytest.raises(Exception) as error:  # whatever comes is told
        work(*args, **kwargs)
    return stage.sentence(error.value, "error.txt")


def built(composed, **parts):
    factory = safe_instantiate(composed().system)
    system = partial(factory.func, **{**factory.keywords, **parts})
    cfg = composed("data.source.individuals=24")
    data = safe_instantiate(cfg.data).prepare(safe_instantiate(cfg.modality), 0)
    return system(data.streams, {k: len(v) for k, v in data.classes.items()}), data


def test_an_error_of_torch_in_a_forward_pass_names_our_line_and_the_stream(composed):
    system, data = built(composed)
    system.backbones.each["uv"].register_forward_pre_hook(lambda m, x: (x[0][:, :1],))

    def forward():
        with stage.computing(system, "training step 1"):
            system(next(iter(data.batches("train", shuffle=False))))

    said = told(forward)
    assert said.startswith("RuntimeError '")
    assert " in backbone/" in said
    assert "while computing the backbone of stream uv (training step 1); see error.txt" in said


@pytest.mark.parametrize("error", [ValueError(), AssertionError(), KeyError(), RuntimeError("")])
def test_an_error_without_words_is_told_by_its_type(error):
    def work():
        with stage.stage("reading data"):
            raise error

    assert told(work).startswith(f"{type(error).__name__} in ")
    assert told(work).count("reading data") >= 1


def test_a_sentence_of_ours_stays_as_it_is():
    assert told(build, partial(Concat, dims={}), dims={}) == (
        "Concat: dims comes from the stage before it and can't be set in the config; remove it"
    )


def test_an_accident_in_a_file_of_ours_is_no_sentence():
    said = told(build, partial(int, "x"))
    assert said.startswith("ValueError 'invalid literal for int() with base 10: 'x'' in build.py:")


def test_a_command_without_a_run_directory_shows_the_traceback_of_an_accident_alone(capsys):
    for factory, said in ((partial(int, "x"), "Traceback"), (partial(Concat, dims={}), "")):
        try:
            build(factory, **({} if said else {"dims": {}}))
        except Exception as error:
            with pytest.raises(SystemExit, match=r"^error: \w+"):
                stage.leave(error)
        assert capsys.readouterr().err[:9] == said


def test_a_file_of_ours_that_can_t_be_written_is_told_without_a_traceback(capsys, tmp_path):
    (tmp_path / "out").touch()
    try:
        files.write_text(tmp_path / "out" / "page.html", "")
    except OSError as error:
        with pytest.raises(SystemExit, match=r"^error: \S+/out/\S+: Not a directory$"):
            stage.leave(error)
    assert capsys.readouterr().err == ""


def test_an_os_error_of_a_part_keeps_its_traceback(capsys):
    try:
        Path("/nowhere/at/all").read_bytes()
    except OSError as error:
        with pytest.raises(SystemExit, match=r"^error: FileNotFoundError '\[Errno 2\] .* in test_stage.py:\d+; see"):
            stage.leave(error)
    assert capsys.readouterr().err.startswith("Traceback")
