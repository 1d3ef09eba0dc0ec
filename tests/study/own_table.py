"""A small table of two vectors of one's own, its truth known: `sex` in the second alone, `kind` in both."""

import numpy as np
import pandas as pd


def table(people=20, each=3, seed=0):
    """`people` individuals with `each` rows: columns a_0…, b_0…, and what a researcher would call them."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), each)
    sex, kind = who % 2, who // 2 % 2
    a = rng.normal(size=(len(who), 3)) + 3 * kind[:, None]
    b = rng.normal(size=(len(who), 3)) + 3 * kind[:, None] + np.array([[0, 6, 0]]) * sex[:, None]
    made = pd.DataFrame({f"{n}_{i}": x[:, i] for n, x in (("a", a), ("b", b)) for i in range(3)})
    made.insert(0, "id", [f"row{i}" for i in range(len(who))])
    made["individual"] = [f"p{i}" for i in who]
    made["sex"] = np.where(sex, "f", "m")
    made["kind"] = np.where(kind, "x", "y")
    return made


CONF = """a:
  kind: vector
  bands: ["a_*"]
b:
  kind: vector
  bands: ["b_*"]
"""


def write(folder, made=None):
    """The table and the modality `a_b` in `folder`; the words that choose them."""
    (folder / "conf" / "modality").mkdir(parents=True, exist_ok=True)
    (folder / "conf" / "modality" / "a_b.yaml").write_text(CONF)
    (table() if made is None else made).to_csv(folder / "own.csv", index=False)
    return [
        f"--config-dir={folder / 'conf'}", "study=compare", "data=table", f"data.root={folder}", "data.source.file=own.csv",
        "data.source.pattern='[ab]_\\d'", "data.source.id=id", "modality=a_b", "data.split.by=individual",
        f"hydra.sweep.dir={folder / 'runs'}",
    ]  # fmt: skip
