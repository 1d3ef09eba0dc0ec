"""A study of seconds, as a config folder of its own."""

TINY = """# @package _global_
defaults:
  - override /head: classifier
  - override /loss: cross_entropy
  - override /augment: none
  - override /evaluate: [probe]
  - override /log: none
  - override /hydra/sweeper: study
study:
  arms:
    rgb: [modality=rgb, fusion=separate]
    concat: [modality=rgb_uv, fusion=concat]
  baselines: [rgb]
  controls:
    shuffled: {of: concat, kind: shuffled, set: ['data.shuffle={stream: uv}']}
  labels: [species, sex]
  seeds: [0, 1]
  splits: [0]
  margin: 0.02
  unequal: []
  tune: null
  mixed: false
train: {max_steps: 2}
hydra: {mode: MULTIRUN}
"""


def changed(changes):
    """The study's text, pieces of it exchanged."""
    text = TINY
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


def write(folder, changes=None):
    """`folder/conf/study/tiny.yaml`; gives the flag that adds the folder."""
    (folder / "conf" / "study").mkdir(parents=True, exist_ok=True)
    (folder / "conf" / "study" / "tiny.yaml").write_text(changed(changes or {}))
    return f"--config-dir={folder / 'conf'}"
