"""Images of any kind of pixels as RGB, turned upright, and told; refused where `colour` is strict."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from multimodal_lab.data.readers.images import Images, decode, read_header
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.pairs import Pairs
from multimodal_lab.data.source import DataError

X = np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8)
FORMS = [
    ("1", "png"),
    ("L", "jpeg"),
    ("P", "png"),
    ("CMYK", "jpeg"),
    ("CMYK", "tiff"),
    ("YCbCr", "tiff"),
    ("RGB", "png"),
]


def stored(form, kind, **options):
    data = io.BytesIO()
    Image.fromarray(X).convert(form).save(data, kind, **options)
    return data.getvalue()


def read(data, colour="to_rgb", alpha="refuse"):
    return decode(data, "x", colour, alpha, Limits())[0]


@pytest.mark.parametrize(("form", "kind"), FORMS)
def test_any_kind_is_what_pillow_converts_it_to(form, kind):
    data = stored(form, kind)
    own = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(read(data), own.transpose(2, 0, 1))
    assert read_header(data, "x", "to_rgb", "refuse", Limits()).height == 6


@pytest.mark.parametrize("form", ["LA", "PA", "RGBA"])
def test_an_alpha_channel_is_still_asked_for(form):
    picture = Image.fromarray(np.dstack([X, X[..., :1]]), "RGBA")
    data = io.BytesIO()
    (picture if form != "PA" else picture.convert("P")).convert("LA" if form == "LA" else "RGBA").save(data, "png")
    with pytest.raises(DataError, match="has an alpha channel"):
        read(data.getvalue())
    assert read(data.getvalue(), alpha="white").shape == (3, 6, 8)


def test_sixteen_bits_of_grey_stay_sixteen_bits():
    deep = np.random.default_rng(1).integers(0, 60000, (6, 8)).astype(np.uint16)
    data = io.BytesIO()
    Image.fromarray(deep).save(data, "png")
    np.testing.assert_array_equal(read(data.getvalue()), np.stack([deep] * 3))


@pytest.mark.parametrize(
    ("form", "said"),
    [
        (
            "CMYK",
            r"pixels of kind CMYK, expected grey or RGB of 8 or 16 bits \(data\.source\.colour=to_rgb converts it\)",
        ),
        ("L", r"a grey image, expected data\.source\.colour=rgb \(to_rgb makes RGB of it\)"),
    ],
)
def test_a_strict_colour_names_the_cure(form, said):
    with pytest.raises(DataError, match=said):
        read(stored(form, "jpeg"), "rgb")
    with pytest.raises(DataError, match=r"a colour image, expected data\.source\.colour=grey$"):
        read(stored("RGB", "jpeg"), "grey")


def turned(orientation, form="RGB"):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return stored(form, "jpeg", exif=exif.tobytes())


@pytest.mark.parametrize("form", ["RGB", "L", "CMYK"])
def test_a_picture_is_turned_upright(form):
    x = read(turned(6, form))
    assert x.shape == (3, 8, 6)
    flat = read(stored(form, "jpeg"))
    np.testing.assert_array_equal(x, np.rot90(flat, -1, axes=(1, 2)))


def test_what_was_made_rgb_and_turned_is_told(tmp_path):
    for name, data in {
        "a": stored("RGB", "jpeg"),
        "b": stored("L", "jpeg"),
        "c": turned(8),
        "d": stored("CMYK", "jpeg"),
    }.items():
        (tmp_path / f"{name}.jpg").write_bytes(data)
    (tmp_path / "index.jsonl").write_text("\n".join(json.dumps({"image": f"{n}.jpg", "text": n}) for n in "abcd"))
    told = [
        "image: 2 of 4 images are made RGB: 1 grey, 1 CMYK, such as b.jpg",
        "image: 1 of 4 images are turned upright as their EXIF orientation says, such as c.jpg",
    ]
    assert [n for n in Pairs(str(tmp_path), colour="to_rgb").notes if "images are" in n] == told
    assert [
        n.replace("images:", "image:") for n in Images(str(tmp_path), colour="to_rgb").notes if "images are" in n
    ] == told
    with pytest.raises(DataError, match=r"b\.jpg: a grey image.*\(2 of 4 files can't be read; data\.on_error=skip"):
        Pairs(str(tmp_path))
