"""Ops on sounds: a shift is exactly what its target says and leaves no other trace; a mixture is the sum of its parts."""

import math

import torch
from contract import batch_op as contract

from multimodal_lab.augment.augment import Augment
from multimodal_lab.augment.draw import Draw
from multimodal_lab.augment.mix_sounds import MixSounds, nearest
from multimodal_lab.augment.shift_sound import ShiftSound

FRAMES, RATIO = 2, 3  # of CLIPS: 12 frames, and 3 steps of sound a frame


def shifted(given, **settings):
    return Augment(contract.CLIPS, ops={"s": ShiftSound(frames=FRAMES, **settings)}, views=1)(given, 0, 0)


def test_a_sound_is_late_by_what_the_target_says():
    given = contract.batch(contract.CLIPS, 60)
    out = shifted(given, p=0.7)
    late = out.targets["offset"] - FRAMES
    assert set(late.tolist()) == {-2, -1, 0, 1, 2}
    assert torch.equal(out.targets["in_step"], (late == 0).long())
    assert 0.1 < float((late == 0).float().mean()) < 0.5
    inside = slice(FRAMES * RATIO, (12 - FRAMES) * RATIO)
    for i, k in enumerate(late.tolist()):
        read = slice(inside.start - k * RATIO, inside.stop - k * RATIO)
        assert torch.equal(out.inputs["audio"][i, :, inside], given.inputs["audio"][i, :, read])
    assert torch.equal(out.inputs["video"][:, :, FRAMES:-FRAMES], given.inputs["video"][:, :, FRAMES:-FRAMES])


def test_neither_length_nor_silence_tells_of_the_shift():
    given = contract.batch(contract.CLIPS, 40)
    given.valid["video"][7, 9:], given.valid["audio"][7, 27:] = False, False  # a shorter clip
    out = shifted(given, p=0.5)
    for name, steps in (("video", FRAMES), ("audio", FRAMES * RATIO)):
        whole = torch.zeros_like(out.valid[name])
        whole[:, steps:-steps] = True
        whole[7, {"video": 9, "audio": 27}[name] - steps :] = False
        assert torch.equal(out.valid[name], whole)
        assert not out.inputs[name].movedim(2, 1)[~out.valid[name]].any()


def test_a_clip_too_short_to_cut_or_without_a_stream_stays():
    given = contract.batch(contract.CLIPS, 3, torch.tensor([[True, True], [True, False], [True, True]]))
    given.valid["video"][2, 2 * FRAMES :] = False
    out = shifted(given, p=1.0)
    assert out.targets["offset"].tolist()[1:] == out.targets["in_step"].tolist()[1:] == [-1, -1]
    assert out.targets["offset"][0] >= 0
    assert torch.equal(out.valid["video"][1:], given.valid["video"][1:])


def mixed(given, **settings):
    return Augment(contract.CLIPS, {"species": 3}, ops={"m": MixSounds(**settings)}, views=1)(given, 0, 0)


def test_a_mixture_is_the_sum_of_two_sounds_of_two_classes_at_the_level_drawn():
    given = contract.batch(contract.CLIPS, 24)
    given.valid["audio"][3, 20:] = False
    out = mixed(given, label="species", snr=(3.0, 3.0))
    sources, species = out.targets["sources"], given.targets["species"]
    on = sources.isfinite().all((1, 2))
    assert torch.equal(on, species >= 0)
    clean = torch.where(given.valid["audio"][:, None], given.inputs["audio"], 0.0)
    torch.testing.assert_close(out.inputs["audio"][on][:, 0], sources[on].sum(1))
    assert torch.equal(sources[on][:, 0], clean[on][:, 0])
    for i in on.nonzero()[:, 0].tolist():
        other = sources[i, 1]
        (j,) = [j for j in range(24) if torch.cosine_similarity(other, clean[j, 0], dim=0) > 1 - 1e-5]
        assert species[j] != species[i]
        own, theirs = ((x.square().sum() / given.valid["audio"][k].sum()) for x, k in ((sources[i, 0], i), (other, j)))
        assert math.isclose(10 * math.log10(own / theirs), 3.0, abs_tol=1e-3)
        assert torch.equal(out.valid["audio"][i], given.valid["audio"][i] | given.valid["audio"][j])


def test_silence_is_not_mixed_and_the_partner_is_the_next_that_fits():
    given = contract.batch(contract.CLIPS, 12)
    given.inputs["audio"][4:9] *= 1e-4
    out = mixed(given)
    assert out.targets["sources"].isnan().all((1, 2)).nonzero()[:, 0].tolist() == [4, 5, 6, 7, 8]
    assert torch.equal(out.inputs["audio"][4:9], given.inputs["audio"][4:9])
    allowed = torch.rand(9, 9, generator=torch.Generator().manual_seed(0)) < 0.3
    u = Draw(torch.arange(9)).uniform(1)[:, 0]
    partner, on = nearest(u, allowed)
    order = u.argsort().tolist()
    for i in range(9):
        circle = order[order.index(i) :] + order[: order.index(i)]
        fit = [j for j in circle if allowed[i, j]]
        assert bool(on[i]) == bool(fit)
        assert not fit or int(partner[i]) == fit[0]
