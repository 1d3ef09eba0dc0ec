"""Small folders of sounds in the layouts of readers, written by soundfile."""

import json

import numpy as np
import soundfile

from multimodal_lab.data.readers.audio import Audio
from multimodal_lab.data.readers.audiocaps import AudioCaps
from multimodal_lab.data.readers.clotho import Clotho
from multimodal_lab.data.readers.esc import Esc
from multimodal_lab.data.readers.labels import Labels

RATE = 8000
CLASSES = ("dog", "rain")


def noise(seed, steps=1600, channels=1):
    """(T,) or (T, channels) float32 within half of the full scale."""
    made = np.random.default_rng(seed).uniform(-0.5, 0.5, (steps, channels)).astype(np.float32)
    return made[:, 0] if channels == 1 else made


def sound(file, seed=0, steps=1600, channels=1, rate=RATE, **options):
    """Write one; its values."""
    file.parent.mkdir(parents=True, exist_ok=True)
    values = noise(seed, steps, channels)
    soundfile.write(file, values, rate, **options)
    return values


def audio(folder):
    """Four sounds in a folder a class, of unequal length."""
    for i in range(4):
        sound(folder / CLASSES[i % 2] / f"{i}.{('wav', 'flac')[i // 2]}", i, 800 + 100 * i)
    return Audio(str(folder), labels=Labels(folders=["class"]))


def esc_rows():
    """Two recordings a fold with two clips each, one of each class."""
    return [
        {"filename": f"{fold}-{100 * fold + k}-{take}-{k}.wav", "fold": fold, "category": CLASSES[k], "take": take}
        for fold in range(1, 6)
        for k in range(2)
        for take in "AB"
    ]  # fmt: skip


def esc(folder, **options):
    """The published archive's layout."""
    rows = esc_rows()
    for i, row in enumerate(rows):
        sound(folder / "audio" / row["filename"], i, 400)
    (folder / "meta").mkdir(exist_ok=True)
    lines = ["filename,fold,target,category,esc10,src_file,take"]
    lines += [
        f"{r['filename']},{r['fold']},0,{r['category']},True,{r['filename'].split('-')[1]},{r['take']}" for r in rows
    ]
    (folder / "meta/esc50.csv").write_text("\n".join(lines))
    return Esc(str(folder), **options)


def esc_lines(folder, **options):
    """The same as JSON lines beside the sounds."""
    rows = [
        {"id": r["filename"][:-4], "file": f"audio/{r['filename']}", "name": r["category"], "fold": r["fold"]}
        for r in esc_rows()
    ]
    (folder / "index.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "meta/esc50.csv").unlink(missing_ok=True)
    return Esc(str(folder), **options)


def audiocaps(folder, **options):
    """A table a split; sounds are called in the ways of several fetchers."""
    names = {
        "train/Yabc.wav": 0,
        "train/-de_f.flac": 1,
        "val/ghi_30.wav": 2,
        "test/Yjkl_40000.wav": 3,
        "test/mno_0_10.wav": 4,
    }
    for name, seed in names.items():
        sound(folder / name, seed, 400, channels=1 + seed % 2)
    head = "audiocap_id,youtube_id,start_time,caption\n"
    (folder / "train.csv").write_text(head + "1,abc,10,A dog barks\n2,-de_f,20,Rain falls\n3,gone,30,Nothing\n")
    (folder / "val.csv").write_text(head + "4,ghi,30,Wind\n5,ghi,30,Wind blows\n")
    (folder / "test.csv").write_text(head + "6,jkl,40,A car\n7,jkl,40,A car passes\n8,mno,0,Steps\n")
    return AudioCaps(str(folder), **options)


def clotho(folder, **options):
    """The published tables and folders."""
    for part, count in (("development", 2), ("validation", 1), ("evaluation", 1)):
        lines = ["file_name,caption_1,caption_2,caption_3,caption_4,caption_5"]
        for i in range(count):
            sound(folder / part / f"{part} {i}.wav", i, 400 + 10 * i)
            lines.append(f"{part} {i}.wav," + ",".join(f'"{part} {i}, said {k}"' for k in range(5)))
        (folder / f"clotho_captions_{part}.csv").write_text("\n".join(lines))
    return Clotho(str(folder), **options)
