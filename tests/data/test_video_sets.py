"""Sets of videos in their published layouts: UCF-101's folders and lists, MSR-VTT's and ActivityNet's sentences."""

import json

import numpy as np
import pytest
from made_videos import brightness, write
from omegaconf import OmegaConf

from multimodal_lab.config.facts import fact
from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.data.readers.activitynet import ActivityNet
from multimodal_lab.data.readers.decode.video_sampling import Frames
from multimodal_lab.data.readers.msrvtt import MsrVtt
from multimodal_lab.data.readers.video import Video
from multimodal_lab.data.readers.windows import Windows
from multimodal_lab.data.source import DataError
from multimodal_lab.types import Stream


@pytest.mark.parametrize("name", ["video.Video", "msrvtt.MsrVtt", "activitynet.ActivityNet"])
def test_a_missing_package_is_told_before_any_data_are_read(name):
    assert fact(f"multimodal_lab.data.readers.{name}", "requires") == {"av": "video"}


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """A video of 20 frames with sound, that all sets are copies of."""
    return write(tmp_path_factory.mktemp("one") / "one.mp4", 20, sound="aac").read_bytes()


def put(folder, names, content):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def ucf(root, one):
    names = [f"{a}/v_{a}_g0{g}_c0{c}.avi" for a in ("Archery", "HandstandPushups") for g in (1, 2, 3) for c in (1, 2)]
    put(root / "UCF-101", names, one)
    lists = root / "ucfTrainTestlist"
    lists.mkdir()
    spelt = [n.replace("Handstand", "HandStand") for n in names]  # as the published lists spell it
    (lists / "trainlist01.txt").write_text("\r\n".join(f"{n} {1 + (n[0] == 'H')}" for n in spelt if "_g01_" not in n))
    (lists / "testlist01.txt").write_text("\n".join(n for n in spelt if "_g01_" in n) + "\n")
    return root / "UCF-101", lists


def test_ucf101(tmp_path, one, composed):
    root, lists = ucf(tmp_path, one)
    cfg = composed("data=ucf101", "modality=video", "label=action", f"data.root={root}", "data.size=8", small=False)
    found = safe_instantiate(cfg.data).prepare(OmegaConf.to_container(cfg.modality, resolve=True), seed=0)
    table = found.samples
    assert found.classes == {"action": ["Archery", "HandstandPushups"]}
    assert set(table["group"].iloc[found.rows("test")]) == {"Archery_g01", "HandstandPushups_g01"}
    assert len(found.rows("train")) == 8
    assert found.batch(np.arange(2)).inputs["video"].shape == (2, 3, 16, 8, 8)
    put(root, ["Archery/extra.avi"], one)
    more = Video(str(root), fold=1)
    assert "warning: left out: 1 of 13 videos that no list names: Archery/extra.avi" in more.notes
    (lists / "testlist01.txt").write_text("Archery/v_Archery_g02_c01.avi\n")
    with pytest.raises(DataError, match=r"testlist01.txt: Archery/v_Archery_g02_c01.avi is in the list of train, too"):
        Video(str(root), fold=1)
    with pytest.raises(DataError, match=r"data.source.fold: 7, and there is no trainlist07.txt"):
        Video(str(root), fold=7)


def test_a_folder_of_classes_needs_no_list(tmp_path, one, composed):
    put(tmp_path, [f"{c}/{c}{i}.mp4" for c in ("run", "walk") for i in range(3)], one)
    words = ["data=video", "modality=audio_video", "label=folder", f"data.root={tmp_path}", "data.size=8"]
    cfg = composed(*words, "data.source.frames.sampling=dense", "data.labels=[folder]", small=False)
    found = safe_instantiate(cfg.data).prepare(OmegaConf.to_container(cfg.modality, resolve=True), seed=0)
    batch = found.batch(np.arange(6))
    assert found.classes == {"folder": ["run", "walk"]}
    assert batch.inputs["audio"].shape == (6, 1, 16000 * 16 // 25)
    assert batch.inputs["video"].shape == (6, 3, 16, 8, 8)


def test_windows_of_a_video_are_samples(tmp_path, one):
    put(tmp_path, ["run/a.mp4", "walk/b.mp4"], one)
    source = Video(str(tmp_path), frames=Frames(None, "dense"), windows=Windows(length=0.4))
    assert source.samples["recording"].tolist() == ["run/a"] * 2 + ["walk/b"] * 2
    stream = Stream("v", "image", source.field_bands["video"], field="video")
    assert [brightness(source.read(i, [stream]).inputs["v"]) for i in (0, 1)] == [[*range(10)], [*range(10, 20)]]


def vtt(root, one, splits=("train", "train", "validate", "test")):
    put(root, [f"TrainValVideo/video{i}.mp4" for i in range(len(splits))], one)
    videos = [{"category": i, "url": "", "video_id": f"video{i}", "start time": 7.5, "end time": 9.0, "split": s, "id": i}
              for i, s in enumerate(splits)]  # fmt: skip
    said = [
        {"caption": f"words {i} {k}", "video_id": f"video{i}", "sen_id": k}
        for k in range(3)
        for i in range(len(splits))
    ]
    (root / "MSRVTT_data.json").write_text(json.dumps({"info": {}, "videos": videos, "sentences": said}))
    return videos, said


def test_msrvtt(tmp_path, one, composed):
    videos, said = vtt(tmp_path, one)
    cfg = composed("data=msrvtt", "modality=video_text", f"data.root={tmp_path}", "data.size=8", small=False)
    found = safe_instantiate(cfg.data).prepare(OmegaConf.to_container(cfg.modality, resolve=True), seed=0)
    assert {s: list(found.samples["id"].iloc[r]) for s, r in found.splits.items()} == {
        "train": ["video0", "video1"], "val": ["video2"], "test": ["video3"],
    }  # fmt: skip
    assert found.texts(np.arange(1))["text"] == [["words 0 0", "words 0 1", "words 0 2"]]
    each = MsrVtt(str(tmp_path), rows="caption")
    assert len(each.samples) == 12
    assert each.together == "video"
    (tmp_path / "MSRVTT_train.9k.csv").write_text("video_id\nvideo0\nvideo2\n")
    (tmp_path / "MSRVTT_JSFUSION_test.csv").write_text("key,vid_key,video_id,sentence\nret0,msr1,video1,one alone\n")
    one_k = MsrVtt(str(tmp_path), protocol="1k-a").samples.set_index("id")
    assert one_k["split"].to_dict() == {"video0": "train", "video2": "train", "video1": "test"}
    assert one_k.loc["video1", "caption"] == ["one alone"]
    (tmp_path / "TrainValVideo/video3.mp4").unlink()
    with pytest.raises(DataError, match=r"row 4.*video3.mp4"):
        MsrVtt(str(tmp_path))
    assert "video3" in str(MsrVtt(str(tmp_path), missing="drop").notes)
    for changed, wrong in (
        ({"videos": [{**videos[0], "split": "dev"}], "sentences": []}, r"videos\[0\] .* split 'dev'; expected"),
        (
            {"videos": videos[:1], "sentences": said},
            r"sentences\[1\] is of video 'video1', which `videos` does not have",
        ),
        ({"videos": [None], "sentences": []}, r"videos\[0\] is 'None', expected an object"),
        ({"videos": videos, "sentences": [{**said[0], "video_id": []}]}, r"sentences\[0\] is of video \[\]"),
        ([], r"expected an object with the lists `videos` and `sentences`"),
    ):
        (tmp_path / "MSRVTT_data.json").write_text(json.dumps(changed))
        with pytest.raises(DataError, match=wrong):
            MsrVtt(str(tmp_path))


def test_activitynet(tmp_path, one, composed):
    put(tmp_path, ["videos/v_a-1.mp4", "videos/v_b.mp4", "videos/v_c.mp4"], one)
    facts = {
        "duration": 0.82,
        "timestamps": [[0.2, 0.6], [0.8, 0.4], [0.1, 0.1]],
        "sentences": ["first ", " second", "third"],
    }
    (tmp_path / "captions").mkdir()
    for name, videos in (("train.json", ["v_a-1", "v_gone"]), ("val_1.json", ["v_b", "v_c"]), ("val_2.json", ["v_b"])):
        (tmp_path / "captions" / name).write_text(json.dumps(dict.fromkeys(videos, facts)))
    words = ["data=activitynet", "modality=video_text", f"data.root={tmp_path}", "data.size=8"]
    cfg = composed(*words, "data.source.frames.count=4", small=False)
    found = safe_instantiate(cfg.data).prepare(OmegaConf.to_container(cfg.modality, resolve=True), seed=0)
    table = found.samples
    assert table["id"].tolist() == ["v_a-1#0", "v_a-1#1", "v_b#0", "v_b#1", "v_c#0", "v_c#1"]
    assert table["split"].tolist() == ["train"] * 2 + ["test"] * 4
    assert table[["start", "end"]].values.tolist()[:2] == [[0.2, 0.6], [0.4, 0.8]]
    notes = " ".join(found.notes)
    assert "end before they begin, and are turned round: v_a-1#1, v_gone#1" in notes
    assert "no length, and are left out: v_a-1#2" in notes
    assert "v_gone" in notes
    assert "captions/val_2.json: left out, as it describes the videos of captions/val_1.json again" in notes
    source = ActivityNet(str(tmp_path), frames=Frames(None, "dense"))
    stream = Stream("v", "image", source.field_bands["video"], field="video")
    assert brightness(source.read(1, [stream]).inputs["v"]) == [*range(10, 20)]
    paragraph = ActivityNet(str(tmp_path), rows="paragraph").samples
    assert paragraph["caption"].tolist() == ["first second third"] * 3
    both = {"val": "captions/val_1.json", "test": "captions/val_2.json"}
    with pytest.raises(DataError, match=r"val_2.json: video v_b is in val, too; expected each in one split"):
        ActivityNet(str(tmp_path), captions=both)
    (tmp_path / "captions/val_1.json").write_text(json.dumps({"v_c": {**facts, "sentences": ["one"]}}))
    with pytest.raises(DataError, match=r"val_1.json: v_c: expected duration, and as many timestamps as sentences"):
        ActivityNet(str(tmp_path))
