"""Prepare a data set for an experiment: streams, splits, labels, statistics, loaders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from multimodal_lab.bounds import Count, Fraction, Margin, Natural
from multimodal_lab.data import fitted_cache, record
from multimodal_lab.data.audit import baseline, grid
from multimodal_lab.data.complete import complete
from multimodal_lab.data.fitted_cache import FittedCache, learn, note, restore_content, unreadable
from multimodal_lab.data.kind import Background, StreamPlan
from multimodal_lab.data.loading import first_reading
from multimodal_lab.data.loading.unreadable import Bad, OnError, find, stand_ins, with_count
from multimodal_lab.data.prepared import Prepared
from multimodal_lab.data.readers.fingerprint import marked
from multimodal_lab.data.source import DataError, Raw, Source, content_columns, notes_of
from multimodal_lab.data.split import auto, linked, spatial
from multimodal_lab.data.split.missing import MissingAtRandom, take_away
from multimodal_lab.data.split.same_image import require_items, require_whole
from multimodal_lab.data.split.sampling import Sampling
from multimodal_lab.data.split.shuffle import Shuffle
from multimodal_lab.data.split.split import Split, SplitRows
from multimodal_lab.data.streams import learnt_notes
from multimodal_lab.data.streams.bands import plan
from multimodal_lab.data.streams.labels import LabelKind, encode_all
from multimodal_lab.data.streams.own_scaling import OwnScaling
from multimodal_lab.data.streams.preset import Preset
from multimodal_lab.data.streams.resize import Resize
from multimodal_lab.data.streams.sample import SampleError, SampleReader
from multimodal_lab.data.streams.scaling import Scaling
from multimodal_lab.data.streams.source_bands import all_doubts, asked_bands

KEPT = ("first_scale",)  # what a run has measured of its data since, and its record holds

Resplit = Literal["never", "others", "always", "test"]


class Data:
    """A source and the choices that make inputs of it; `prepare` cuts the streams of a modality and learns their facts.

    source: a reader. root: what its paths are relative to. size, resize, resize_mode, crop_pct: see `Resize`; None keeps the
    stored size; a stream may have its own. scaling: a policy of `scaling`. split: a `Split`. labels: columns of the sample
    table, `auto` or None for all that can be learnt: see `split.auto` for `auto` here and in the split. batch_size: samples
    of one step over all ranks. workers: processes that load (threads, where the data lie packed or in memory), 0 loads in
    this one. cache: keep finished arrays in memory. background: what a pixel outside the specimen holds: the `mean` of its
    band over the training split, so that it is 0 to a network, `zero`, or (`keep`) what was photographed. A pixel that was
    not measured or lies outside the frame holds the mean, or with `zero` 0. nodata: a pixel was not measured where `any` of a
    stream's bands has no value (declared nodata, NaN), or where `all` have none. verify: `all` reads every sample before
    training, so that a bad one stops the run; `headers` meets bad held-out ones when it comes to them, and `none` leaves out
    the headers of files too, but the first good one. fingerprint: see `readers.fingerprint`. statistics: what scaling, mean
    and deviation are learnt from: the whole training split (`train`), so many of its samples, evenly spaced, or nothing,
    where a `Preset` knows them. on_error: what a sample that can't be read does: `raise` stops the run, `skip` makes it one
    with every stream missing and no label, `substitute` does so too but in training, where the next readable one of the split
    stands in; both read every sample first, and stop above the share `max_bad`, not at one. shuffle: re-pairs one stream
    among the samples of each split, see `Shuffle`: a negative control. items: {stream: column} whose equal values mark rows
    that hold the same thing in that stream, which retrieval ranks once; a reader of captions knows its images. sampling: the
    shares of an epoch of training, see `Sampling`. kinds: {label: class or number} where a column's type does not tell it.
    missing_at_random: entries that are taken away, see `MissingAtRandom`. incomplete: training samples that lack a stream
    are kept, or left out (`drop`: complete cases); held-out ones stay.
    """

    def __init__(
        self,
        source: Source,
        *,
        scaling: Scaling | OwnScaling,
        split: Split,
        labels: list[str] | Literal["auto"] | None,
        root: str | None = None,
        size: Count | None = None,
        resize: Literal["area", "bicubic", "none"] = "area",
        resize_mode: Literal["pad", "stretch", "crop"] = "pad",
        crop_pct: Margin = 1.0,
        batch_size: Count = 64,
        workers: Natural = 0,
        cache: bool = False,
        background: Background = "mean",
        nodata: Literal["any", "all"] = "any",
        verify: Literal["all", "headers", "none"] = "all",
        fingerprint: Literal["full", "quick"] = "full",
        statistics: Literal["train"] | Count | Preset = "train",
        on_error: OnError = "raise",
        max_bad: Fraction = 0.001,
        shuffle: Shuffle | None = None,
        items: dict[str, str] | None = None,
        sampling: Sampling | None = None,
        kinds: dict[str, LabelKind] | None = None,
        missing_at_random: MissingAtRandom | None = None,
        incomplete: Literal["keep", "drop"] = "keep",
    ) -> None:
        self.source, self.split = spatial.with_blocks(source, split.block_km), split
        self.scaling = scaling.filled(source) if isinstance(scaling, OwnScaling) else scaling
        self.resize = Resize(size, resize, resize_mode, crop_pct)
        self.batch_size, self.workers, self.cache = batch_size, workers, cache
        self.labels, self.root, self.background, self.nodata = labels, root, background, nodata
        self.verify, self.on_error, self.max_bad = verify, on_error, max_bad
        self.fingerprint, self.statistics = fingerprint, statistics
        self.shuffle = Shuffle(**shuffle) if isinstance(shuffle, dict) else shuffle
        self.items, self.kinds = items or {}, kinds or {}
        self.hold_to_units = True  # refuse values that can't be of their unit; a look at the data alone tells them
        self.seen: Callable[[SampleReader, int, Raw], None] | None = None  # as in `SampleReader`
        self.sampling = Sampling(**sampling) if isinstance(sampling, dict) else sampling
        away = missing_at_random
        self.away = MissingAtRandom(**away) if isinstance(away, dict) else away
        self.incomplete = incomplete

    def prepare(
        self,
        modality: dict[str, dict[str, Any]],
        seed: int,
        frozen: dict[str, Any] | None = None,
        memory: FittedCache | None = None,
        encodes: bool = False,
        resplit: Resplit = "never",
    ) -> Prepared:
        """Cut the streams of `modality` and split, label and measure the samples.

        modality: {stream: facts}, see `bands.resolve`. seed: of the sample order. frozen: the `record()` of a trained
        run, whose statistics, components, tokenizers and classes are used instead of learning them, so that new files
        are seen as the training files were; its splits are used again if the data are the same, else there is only
        "all", unless `resplit` them: `others` splits data that are not the run's as `split` says, `always` its own,
        too, and with `test` every sample is held out. memory: remembers what the training split taught and that all
        samples were checked, for data whose fingerprint tells of every value; then no sample is read here that needn't
        be. encodes: the caller reads all of them, knows that they have been read, or calls `read_all`. `DataError` for what
        can't be used.
        """
        plans = self._streams(modality)
        if frozen is None:
            require_items(self.items, plans, self.source.samples)
        samples = SampleReader(self.source, plans, self.scaling, self.resize, self.background, self.nodata, self.cache)
        inputs = [name for name, p in plans.items() if not p.target]
        away = None if resplit == "test" else self.away  # what trains nothing is judged on all there is
        samples.units, samples.seen = samples.units if self.hold_to_units else {}, self.seen
        mark, whole = marked(self.source, self.root, self.fingerprint)
        memory = memory if whole or encodes else None
        chosen = self._choose(plans, frozen)
        table, known = self.source.samples, None if frozen is None else frozen["classes"]
        if frozen is None:
            splits = self._split(chosen.split)
            try:
                told = take_away(away, samples, inputs, splits)
                bad = unreadable(samples, self.on_error, self.max_bad, memory, mark)
                if self.incomplete == "drop":
                    splits["train"], said = complete(samples, inputs, bad.good(splits["train"]), memory, mark)
                    told.append(said)
                learn(samples, bad.good(splits["train"]), memory, mark, self.statistics)
            except SampleError as error:
                raise with_count(samples, error) from error
        else:
            splits = record.restore(frozen, samples, mark)
            if resplit == "always" or (resplit == "others" and not splits):
                splits = self._split(chosen.split)
            take_away(away, samples, inputs, splits)
            bad = find(samples, self.on_error, self.max_bad)
        taught = splits.get("train", np.arange(0))
        if resplit == "test":  # once all is learnt
            splits = {"train": np.arange(0), "test": np.arange(len(samples.table))}
        prepared = Prepared(
            samples,
            splits=splits,
            targets=encode_all(table, chosen.labels, self.kinds, known, chosen.split.min_class_policy == "refuse"),
            groups=chosen.split.by if frozen is None else linked.within(chosen.split.by, samples.table),
            seed=seed,
            batch_size=self.batch_size,
            workers=self.workers,
            facts={
                "seed": seed,
                "fingerprint": mark,
                "modality": modality,
                **self._facts(chosen, bad, samples),
                **({} if frozen is None else {k: frozen[k] for k in KEPT if k in frozen}),
            },
            bad=stand_ins(bad, splits) if self.on_error == "substitute" else bad,
            shuffle=self.shuffle,
            items={name: column for name, column in self.items.items() if column in table},
            numbers=None if frozen is None else frozen.get("numbers"),
            several=() if frozen is None else frozen.get("several", ()),
            sampling=self.sampling if frozen is None else None,
        )
        prepared.notes += fitted_cache.kind_notes(samples, splits, bad, memory, mark)
        if frozen is None:
            prepared.notes += [] if resplit == "test" else [*chosen.split.told(samples.table, splits), *told]
            prepared.notes += note(samples, len(bad.good(taught)), self.statistics)
            told_of = [*baseline.of_names(table), *grid.findings(table)]
            prepared.notes += [f"warning: {found.sentence}" for found in told_of if found.level == "warning"]
        checked = frozen is None and self.verify == "all"
        prepared.read_all = partial(first_reading.read, prepared, memory, checked, self.statistics)
        if not encodes:
            prepared.read_all()
        prepared.remember_content = partial(restore_content, samples, memory, mark)
        prepared.remember_content()
        return prepared

    def _streams(self, modality: dict[str, dict[str, Any]]) -> dict[str, StreamPlan]:
        """How each stream is cut from what is stored."""
        if not len(self.source.samples):
            raise DataError("data.source: it holds no samples")
        plans = {name: plan(name, facts, asked_bands(self.source, name, facts)) for name, facts in modality.items()}
        if all(p.target for p in plans.values()):
            raise DataError(f"modality: no input stream among {', '.join(plans) or 'none'}")
        if self.shuffle:
            self.shuffle.require(plans)
        return plans

    def _choose(self, plans: dict[str, StreamPlan], frozen: dict[str, Any] | None) -> auto.Choice:
        """Labels, groups and strata, where the config leaves them to the table or to the trained run."""
        table = self.source.samples
        if frozen is not None:
            return auto.frozen(table, self.labels, self.split, frozen)
        texts = content_columns(self.source)
        texts |= {p.stored.field for p in plans.values() if p.stored.field}
        found = auto.choose(table, self.labels, self.split, texts, getattr(self.source, "together", None))
        own = found.split
        columns = [*found.labels, *linked.columns(own.by), *(c for c in (own.stratify, own.column) if c)]
        told = notes_of(self.source, [p.stored for p in plans.values()], columns)
        return replace(found, notes=[*told, *all_doubts(self.source), *found.notes])

    def _split(self, split: Split) -> SplitRows:
        """The rows of each split; none that show one thing are torn apart, unless that is to be measured."""
        splits = split.assign(self.source.samples)
        if split.group_policy == "groups":
            require_whole(self.source, splits, split.column)
        return splits

    def _facts(self, chosen: auto.Choice, bad: Bad, samples: SampleReader) -> dict[str, Any]:
        """What the record tells of the choices that were made here."""
        split = chosen.split
        return {
            "labels": chosen.labels,
            "split": {"by": split.by, "stratify": split.stratify, "column": split.column, **split.ground()},
            "hold": split.group_policy,
            "shuffle": asdict(self.shuffle) if self.shuffle else None,
            "missing_at_random": asdict(self.away) if self.away else None,
            "incomplete": self.incomplete,
            "notes": [
                *chosen.notes,
                *bad.notes(self.on_error, len(self.source.samples)),
                *learnt_notes.of_nodata(samples.fitted, samples.nodata),
                *learnt_notes.of_normalise(samples.plans),
                *learnt_notes.of_ranges(samples.fitted),
            ],
        }
