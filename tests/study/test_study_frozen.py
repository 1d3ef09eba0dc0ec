"""The study of frozen encoders can run as it stands, once there are encoders."""

from multimodal_lab.config.check import check_command


def test_every_arm_and_control_of_it_passes_the_check_with_finished_encoders(tmp_path):
    for name in ("rgb", "uv"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.json").write_text("{}")
        (tmp_path / name / "data.json").write_text('{"layout": 2, "streams": {}, "choices": {}, "splits": {}}')
        (tmp_path / name / "config.yaml").write_text("data: {}\nmodality: {}\ntrain: {}\nsystem: {}\n")
    check_command(["study=rgb_vs_uv_frozen", f"adapt.runs=[{tmp_path / 'rgb'},{tmp_path / 'uv'}]"])
