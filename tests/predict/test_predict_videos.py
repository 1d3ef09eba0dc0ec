"""Files of videos asked of a trained run: their frames are those that the run takes, at its size."""

import av
import numpy as np
import pytest

from multimodal_lab.data.readers.decode.video_sampling import Frames
from multimodal_lab.data.readers.video import Video
from multimodal_lab.data.source import DataError
from multimodal_lab.predict.predictor import Predictor


@pytest.fixture(scope="module")
def run(made_run, tmp_path_factory):
    where = tmp_path_factory.mktemp("videos")
    for i in range(14):
        path = where / "data" / "ab"[i % 2] / f"v{i}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as file:
            track = file.add_stream("libx264", rate=10)
            track.width, track.height, track.pix_fmt = 32, 24, "yuv420p"
            for t in range(10):
                x = np.full((24, 32, 3), 20 * t + i, np.uint8)
                file.mux(track.encode(av.VideoFrame.from_ndarray(x, format="rgb24")))
            file.mux(track.encode())
    words = [
        "data=video",
        "modality=video",
        "backbone=frames",
        "fusion=separate",
        "head=classifier",
        "loss=cross_entropy",
    ]
    choices = [
        "label=folder",
        "data.labels=[folder]",
        "data.size=8",
        "data.source.frames.count=4",
        "evaluate=[]",
        "augment=none",
    ]
    return made_run(where, *words, *choices)


def test_a_file_is_answered_as_in_its_folder(run):
    folder, kept = run
    asked = Predictor(folder)
    paths = sorted(kept.rglob("*.mp4"))
    whole = asked.predict(paths).answers["folder"].probability
    by_name = asked.predict(video=[*map(str, paths)]).answers["folder"].probability
    np.testing.assert_allclose(whole, by_name, rtol=1e-5)
    in_folder = asked.of_data(asked.prepared(Video(str(kept), frames=Frames(4)))).answers["folder"].probability
    np.testing.assert_allclose(whole, in_folder, rtol=1e-5)
    frames = np.full((3, 4, 24, 32), 100, np.uint8)
    assert asked.predict(video=[frames]).answers["folder"].probability.shape == (1, 2)
    short = kept / "a" / "v0.txt"
    short.write_text("no video")
    for given, said in (
        ({"video": [short]}, r"stream video: .*v0.txt, expected the file of a video \(.mp4"),
        ({"video": [kept / "gone.mp4"]}, r"gone.mp4: not there"),
    ):
        with pytest.raises(DataError, match=said):
            asked.predict(**given)
