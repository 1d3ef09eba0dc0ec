import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from multimodal_lab.data.readers.pairs import Pairs
from multimodal_lab.data.source import DataError
from multimodal_lab.types import Band, Stream

BANDS = (Band("R"), Band("G"), Band("B"))
REAL = Path(__file__).parents[3] / "shared/data/open"
X = np.random.default_rng(0).integers(0, 255, (4, 5, 3), dtype=np.uint8)


def row(**changes: Any) -> dict[str, Any]:
    made = {
        "id": "one",
        "photo": "img/a.png",
        "drawing": "img/b.png",
        "text": "a bird",
        "tags": ["wing", "beak"],
        "group": "x",
    }
    return {**made, **changes}


def write(root: Path, *rows: dict[str, Any]) -> None:
    (root / "img").mkdir(exist_ok=True)
    Image.fromarray(X).save(root / "img/a.png")
    Image.fromarray(255 - X).save(root / "img/b.png")
    (root / "index.jsonl").write_text("\n".join(json.dumps(r) for r in rows) + "\n\n")


def opened(root: Path, **changes: Any) -> Pairs:
    return Pairs(str(root), **{"images": ["photo", "drawing"], "texts": ["text", "tags"], **changes})


def image(field: str, bands: tuple[Band, ...] = BANDS) -> Stream:
    return Stream(f"{field} image", bands=bands, field=field)


def text(field: str) -> Stream:
    return Stream(f"{field} words", "text", field=field)


def test_images_and_texts_by_field(tmp_path: Path) -> None:
    write(tmp_path, row(), row(id=2, photo="img/b.png", text="another", split="test"))
    source = opened(tmp_path, labels=["group"])
    assert source.samples.id.tolist() == ["one", "2"]
    assert source.samples.path.tolist() == ["img/a.png", "img/b.png"]
    assert source.samples.group.tolist() == ["x", "x"]
    raw = source.read(0, [image("photo"), image("drawing", BANDS[::-1]), text("text"), text("tags")])
    assert np.array_equal(raw.inputs["photo image"], X.transpose(2, 0, 1))
    assert np.array_equal(raw.inputs["drawing image"], 255 - X.transpose(2, 0, 1)[::-1])
    assert raw.inputs["text words"] == "a bird"
    assert raw.inputs["tags words"] == ["wing", "beak"]
    assert raw.full_scale == 255


def test_one_column_needs_no_field(tmp_path: Path) -> None:
    write(tmp_path, row())
    raw = opened(tmp_path, images=["photo"]).read(0, [image(""), text("text")])
    assert np.array_equal(raw.inputs[" image"], X.transpose(2, 0, 1))
    with pytest.raises(
        DataError, match=r"field: none, expected one of the image columns of index\.jsonl: photo, drawing"
    ):
        opened(tmp_path).read(0, [image("")])
    with pytest.raises(
        DataError, match=r"field: caption, expected one of the text columns of index\.jsonl: text, tags"
    ):
        opened(tmp_path).read(0, [text("caption")])


def test_columns_of_text_are_joined_to_one(tmp_path: Path) -> None:
    write(tmp_path, row(), row(id=2, text=None), row(id=3, tags=[" "]), row(id=4, text="", tags=None))
    source = opened(tmp_path, texts=["text"], joined_texts={"all": ["text", "tags"]}, missing="keep")
    assert source.text_columns == ["text", "all"]
    found = [source.read(i, [text("all")]).inputs["all words"] for i in range(4)]
    assert found == ["a bird, wing, beak", "wing, beak", "a bird", None]
    assert "index.jsonl: all is made of text, tags, with commas between" in source.notes
    for joined, said in [
        ({"all": ["txt"]}, r"joined_texts\.all: index\.jsonl has no column 'txt'; .*nearest: text"),
        ({"tags": ["text"]}, r"joined_texts\.tags: index\.jsonl has a column 'tags'; give the new one another name"),
        ({"all": []}, r"joined_texts\.all: \[\], expected the columns that it is made of"),
    ]:
        with pytest.raises(DataError, match=said):
            opened(tmp_path, joined_texts=joined, missing="keep")


def test_gaps_are_refused_or_kept(tmp_path: Path) -> None:
    gap = row(id="two", text=None)
    del gap["drawing"]
    write(tmp_path, row(), gap)
    with pytest.raises(DataError, match=r"index\.jsonl: row 2 has no 'drawing'; it has .*missing=keep"):
        opened(tmp_path)
    raw = opened(tmp_path, missing="keep").read(1, [image("photo"), image("drawing"), text("text")])
    assert raw.inputs["photo image"] is not None
    assert raw.inputs["drawing image"] is None
    assert raw.inputs["text words"] is None


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("../secret.png", "leaves .* by '..'"),
        ("img/../../secret.png", "leaves .* by '..'"),
        ("/etc/hostname", "is an absolute path"),
        ("C:\\secret.png", "is an absolute path"),
        ("..\\secret.png", "leaves .* by '..'"),
        ("img/link.png", "is a link that leaves"),
        ("img/none.png", "no file 'img/none.png'"),
        ("img/" + "a" * 5000 + ".png", "no file 'img/aaa"),
        (7, "expected a path relative to"),
    ],
)
def test_paths_stay_inside_the_root(tmp_path: Path, path: Any, said: str) -> None:
    root = tmp_path / "set"
    root.mkdir()
    write(root, row(), row(id="two", photo=path))
    Image.fromarray(X).save(tmp_path / "secret.png")
    (root / "img/link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(DataError, match=rf"index\.jsonl: row 2: .*{said}"):
        opened(root)


def test_bad_rows_are_named(tmp_path: Path) -> None:
    write(tmp_path, row(), row())
    with pytest.raises(DataError, match=r"index\.jsonl: id one stands in more than one row"):
        opened(tmp_path)
    write(tmp_path, row(), row(id="two", tags=["a", 3]))
    with pytest.raises(DataError, match=r"row 2: 'tags' is \['a', 3\], expected a text or a list of texts"):
        opened(tmp_path)
    write(tmp_path, row())
    with pytest.raises(DataError, match=r"row 1 has no 'colour'"):
        opened(tmp_path, labels=["colour"])
    with pytest.raises(DataError, match=r"index\.jsonl holds image or text streams, not vector"):
        opened(tmp_path).read(0, [Stream("v", "vector", BANDS)])
    with (tmp_path / "index.jsonl").open("a") as file:
        file.write('{"id": \n')
    with pytest.raises(DataError, match=r"index\.jsonl: line 3 is not JSON"):
        opened(tmp_path)
    (tmp_path / "index.jsonl").write_text("\n")
    with pytest.raises(DataError, match=r"index\.jsonl: no sample in it"):
        opened(tmp_path)


def test_bad_images_are_named(tmp_path: Path) -> None:
    write(tmp_path, row())
    (tmp_path / "img/b.png").write_text("no image")
    with pytest.raises(DataError, match=r"img/b\.png: not a whole, readable image \(PNG, JPEG"):
        opened(tmp_path)
    write(tmp_path, row())
    Image.fromarray(X).convert("RGBA").save(tmp_path / "img/b.png")
    with pytest.raises(DataError, match=r"img/b\.png: has an alpha channel"):
        opened(tmp_path)


@pytest.mark.skipif(not REAL.is_dir(), reason="needs emoji and tuxpaint in ../shared/data")
def test_real_pairs() -> None:
    emoji = Pairs(
        str(REAL / "emoji"),
        images=["noto", "twemoji", "fluent"],
        texts=["text", "tags"],
        labels=["group"],
        missing="keep",
        alpha="white",
    )
    assert len(emoji.samples) == 1636
    assert emoji.samples.fluent.isna().sum() == 82
    assert emoji.samples.split.value_counts().to_dict() == {"train": 1308, "test": 328}
    raw = emoji.read(0, [image("noto"), image("fluent"), text("text"), text("tags")])
    assert raw.inputs["noto image"].shape == (3, 64, 64)
    assert raw.inputs["text words"] == "grinning face"
    assert "smile" in raw.inputs["tags words"]
    gap = int(emoji.samples.fluent.isna().to_numpy().argmax())
    assert emoji.read(gap, [image("fluent")]).inputs["fluent image"] is None


def test_the_fingerprint_takes_in_every_image_column(tmp_path):
    import json

    import numpy as np
    from PIL import Image

    from multimodal_lab.data.readers.fingerprint import fingerprint
    from multimodal_lab.data.readers.pairs import Pairs

    for name in ("a", "b"):
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "index.jsonl").write_text(json.dumps({"id": "1", "x": "a.png", "y": "b.png", "text": "words"}))

    def mark():
        return fingerprint(Pairs(str(tmp_path), images=["x", "y"], texts=["text"]), str(tmp_path))

    before = mark()
    Image.fromarray(np.ones((4, 4, 3), np.uint8)).save(tmp_path / "b.png")
    assert mark() != before
