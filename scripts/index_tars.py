"""Index the tars of a WebDataset, so that data=webdataset reads any sample of them.

python scripts/index_tars.py DIR

Writes NAME.tar.index.jsonl beside every tar below DIR that has none, or one of another file. Where nothing can be written
there, the index goes to the user's cache.
"""

from __future__ import annotations

import sys
from pathlib import Path

from multimodal_lab.text import plain_output


def main() -> None:
    """The command line: exit 0 when all are indexed, 1 for a tar that can't be, 2 for words that can't be."""
    plain_output()
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__)
        sys.exit(0 if {"-h", "--help"} & set(sys.argv) else 2)
    from multimodal_lab.data.readers.folder import existing, find
    from multimodal_lab.data.readers.tar_index import load, write
    from multimodal_lab.data.source import DataError

    bad = 0
    try:
        root = existing(sys.argv[1])
        tars = find(root, (".tar",))
    except DataError as error:
        sys.exit(f"error: {error}")
    for tar in tars:
        path: Path = root / tar
        try:
            print(f"{tar}: {len(load(path, tar, ''))} samples, indexed before")
            continue
        except DataError:
            pass
        try:
            samples, place = write(path, tar)
            print(f"{tar}: {len(samples)} samples, indexed in {place}")
        except (DataError, OSError) as error:
            bad += 1
            print(f"error: {error}", file=sys.stderr)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
