"""A study in W&B: offline, in its group, with the tables of study.json."""

from launched import wait_for
from made import study

from multimodal_lab.study.analysis import judge, results
from multimodal_lab.study.launch import wandb
from multimodal_lab.study.ledger import outcomes


def test_tables_hold_what_the_record_holds(tmp_path):
    found = outcomes.load(study(tmp_path / "mine", labels=("sex", "species")))
    made = results.record(found, judge.judge(found))
    verdicts, arms, pairs, controls = (
        [*rows(made)] for rows in (wandb._verdicts, wandb._arms, wandb._comparisons, wandb._controls)
    )
    assert [v[:4] for v in verdicts] == [[k, "adds", "fused", "rgb"] for k in ("sex", "species")]
    answers = [*wandb._answers(made)]
    assert answers[0] == ["sex", made["labels"]["sex"]["answer"]["sentence"], "adds over rgb; adds over uv"]
    assert verdicts[0][4] == made["labels"]["sex"]["comparisons"][0]["gain"]["mean"]
    assert len(arms) == 10
    assert len(pairs) == 4
    assert [c[2] for c in controls] == ["shuffled", "duplicate"] * 2
    for rows, names in ((answers, wandb.ANSWERS), (verdicts, wandb.VERDICTS), (arms, wandb.ARMS), (pairs, wandb.COMPARISONS),
                        (controls, wandb.CONTROLS)):  # fmt: skip
        assert {len(row) for row in rows} == {len(names)}


def test_it_is_sent_as_one_more_run_of_the_group(tmp_path):
    folder = study(tmp_path / "mine")
    found = outcomes.load(folder)
    made = results.record(found, judge.judge(found))
    wandb.send(folder, made, {"_target_": "multimodal_lab.log.wandb.Wandb", "mode": "offline"})
    (written,) = (folder / "wandb").glob("offline-run-*/run-*.wandb")
    words = (b"study/answers", b"sex/answer", b"study/verdicts", b"mine verdict", b"sex/verdict")
    # W&B's own process writes the file, and may end after this one went on
    wait_for(lambda: all(word in written.read_bytes() for word in words), seconds=30)
