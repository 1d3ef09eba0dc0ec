"""The study of Sentinel-1 and Sentinel-2 can run as it stands."""

import pytest

from multimodal_lab.config.check import check_command
from multimodal_lab.config.problem import ConfigError


@pytest.mark.parametrize("study", ["s1_s2", pytest.param("s1_s2_fusions", marks=pytest.mark.slow)])
def test_every_arm_and_control_of_it_passes_the_check(study):
    check_command([f"study={study}"])


def test_without_a_folder_the_made_up_patches_are_offered():
    with pytest.raises(ConfigError, match=r"missing; give data\.root=…, or data\.root=null for made-up samples"):
        check_command(["data=bigearthnet", "modality=s1_s2"])


@pytest.mark.slow
def test_with_tiles_and_a_label_of_ones_own_too():
    check_command(["study=s1_s2", "data.root=/data", "backbone=resnet50", "data.source.present={pastures: Pastures}",
                   "study.labels=[pastures]", "data.labels=[labels,pastures]"])  # fmt: skip
