"""A laboratory for multimodal and cross-modal learning.

`python -m multimodal_lab.run` puts the working directory first among the places to import from, so that a `yaml.py`, a
`hydra_plugins/` or a `*.dist-info` of a stranger's folder would run where its user only looks at the data in it. What follows
undoes that before anything else is imported, as `python -P` does; it uses nothing that Python has not loaded by then.
"""

import os
import sys


def _leave_working_directory() -> None:
    """Where `-m` started a command of this package: take the entry that it put first off `sys.path`, here and in children.

    The same folder stays where PYTHONPATH or an editable install names it, too, or where this package itself lies in it.
    """
    # as long as Python looks for the module, argv[0] is "-m"
    if sys.argv[:1] != ["-m"] or sys.flags.safe_path or not sys.path:
        return
    here = os.path.realpath(os.curdir)
    home = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    if here != home and os.path.realpath(sys.path[0] or os.curdir) == here:
        del sys.path[0]
        os.environ["PYTHONSAFEPATH"] = "1"  # of workers, which Python starts with `-c` and `-m`, too


_leave_working_directory()
