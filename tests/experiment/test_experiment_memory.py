"""Jobs that follow each other in one process, as a sweep's and a study's do."""

import gc
import weakref

from multimodal_lab.experiment import run as experiment


def test_what_a_job_held_is_gone_when_the_next_one_trains(composed, tmp_path, monkeypatch):
    """Also where Python would not have collected it yet: a job's data lie in cycles."""
    held, alive, fit = [], [], experiment.fit

    def watched(system, data, *args, **more):
        alive.append([one() is not None for one in held])
        held.append(weakref.ref(data))
        return fit(system, data, *args, **more)

    monkeypatch.setattr(experiment, "fit", watched)
    gc.disable()
    try:
        for seed in range(3):
            experiment.run(
                composed("train.max_steps=1", "evaluate=[]", "data.cache=true", f"seed={seed}"), tmp_path / str(seed)
            )
    finally:
        gc.enable()
    assert alive == [[], [False], [False, False]]
