"""A trained run that is asked about samples: its directory is all that it needs."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import OmegaConf
from PIL.Image import Image

from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.config.plain import as_plain
from multimodal_lab.config.written import require_whole
from multimodal_lab.data.prepared import Prepared
from multimodal_lab.data.source import DataError, Source
from multimodal_lab.data.streams.own_scaling import spelt_out
from multimodal_lab.device.placement import pick_device
from multimodal_lab.evaluate import thresholds
from multimodal_lab.evaluate.embeddings import Embeddings, embed
from multimodal_lab.experiment.reload import load_trained
from multimodal_lab.predict import inputs, retrieval
from multimodal_lab.predict.answers import Predictions, answers, of_each, require_labels
from multimodal_lab.predict.files import Files
from multimodal_lab.predict.given import Given
from multimodal_lab.predict.index import Index
from multimodal_lab.predict.prompt_memory import PromptMemory
from multimodal_lab.predict.sensors import by_stream
from multimodal_lab.predict.trained import expected_of, kinds_of
from multimodal_lab.predict.zero_shot import Classes, answered
from multimodal_lab.runs.directory import CONFIG
from multimodal_lab.runs.records import DATA, LayoutError, read_config, read_record, require_readable
from multimodal_lab.stage import computing
from multimodal_lab.types import Band

NOT_OURS = ("source", "root", "shuffle", "items", "workers", "cache", "on_error", "verify")  # keys of `data`


class Predictor:
    """Embed, predict and retrieve with the run in `folder`; what is given is seen exactly as the run saw its own data.

    Samples are given by stream, `predictor(rgb=…, text=…)`: N arrays (N, C, H, W) or (N, C), with a time axis (N, C, T, …),
    {band: array}, files, pictures, texts, lists of these with None where a sample lacks the stream; a stream that is left out
    is missing in all. A name that is no stream is a sensor, whose bands go to the streams that have them, see `by_stream`. Or all
    streams at once: paths of files that hold whole samples, or a data frame with a column for each
    stream, or band of a vector. `mask` (N, H, W) bool goes with images that were trained with one. Anything that can't be
    used is a `DataError`.
    """

    def __init__(self, folder: Path, device: str = "auto", batch_size: int | None = None) -> None:
        if not (folder / CONFIG).is_file():
            raise DataError(f"{folder}: no run here (expected {CONFIG} in it)")
        require_readable(folder)
        require_whole(config := read_config(folder), folder)
        self.folder, self.device, self.record = folder, pick_device(device), read_record(folder)
        try:
            self._cfg = OmegaConf.create(config)
            plain = as_plain(self._cfg)
            node, self.source_node = plain["data"], plain["data"]["source"]
            own = {k: v for k, v in node.items() if k not in NOT_OURS}
            own |= {"labels": list(self.record["labels"]), "batch_size": batch_size or node["batch_size"]}
            self.expected, self._modality = expected_of(self.record, plain["modality"])
            own["scaling"] = spelt_out(node, self.record["choices"]["scaling"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            why = f"{type(error).__name__}: {error}"
            raise LayoutError(f"{folder}: {DATA} and {CONFIG} are not whole, or not of one run ({why})") from error
        self._data = safe_instantiate(own, source=self.given(["nothing"], {}))
        self._nothing = self.prepared(self._data.source)  # one sample that lacks every stream
        self.system, self.checkpoint = load_trained(self._cfg, folder, self._nothing, self.device)
        self.system.eval()
        self.prompts: PromptMemory | None = None  # where the weights stay as they are, as in a server
        self.streams, self.classes, self.tokens = self._nothing.streams, self._nothing.classes, self._nothing.tokens

    def embed(self, samples: Any = None, *, mask: Any = None, **streams: Any) -> Embeddings:
        """The vectors of every stream, of fused and of a projection head."""
        return self._asked(samples, mask, streams)[0]

    def predict(
        self, samples: Any = None, *, mask: Any = None, threshold: float | None = None, **streams: Any
    ) -> Predictions:
        """What every head says: a class and its probabilities, labels above `threshold`, a number, a text.

        threshold: None is that of the run's evaluator `head`, where it is tuned that of each class, else 0.5. A run without
        such a head is a `DataError`.
        """
        require_labels(self.system, self.folder)
        return self._predictions(*self._asked(samples, mask, streams), threshold)

    def __call__(
        self, samples: Any = None, *, mask: Any = None, return_embeddings: bool = False, **streams: Any
    ) -> Predictions:
        """What every head says, if any does, and the embeddings where they are asked for."""
        found, data = self._asked(samples, mask, streams)
        made = self._predictions(found, data, None)
        return replace(made, embeddings=found) if return_embeddings else made

    def retrieve(
        self, *, top_k: int = 10, of: str | None = None, among: retrieval.Among = None, **query: Any
    ) -> pd.DataFrame:
        """The `top_k` nearest items of stream `of` to one stream that is given, such as `text="a red bird"`; see `nearest`.

        among: what to search in, see `index`. of: None is the other stream, where there are two.
        """
        return retrieval.retrieve(self, query, top_k, of, among)

    def index(self, among: retrieval.Among = None, *, of: str) -> Index:
        """An `Index` of the items of stream `of`, each once, in the space in which the run compares them.

        among: None, the run's own data as it embedded them; embeddings, such as `embed` gives, or a folder of saved ones;
        prepared data; an index or its folder, which must be of these weights.
        """
        return retrieval.index_of(self, among, of)

    def embed_data(self, data: Any) -> Embeddings:
        """The vectors of all of data, such as `Prepared`."""
        with computing(self.system, "embedding what is given"):
            return embed(self.system, data, self.device, ("all",), heads=("all",))

    def zero_shot(
        self, samples: Any = None, *, classes: Classes, templates: str | Sequence[str] = "simple",
        prompt_stream: str | None = None, temperature: float | None = None, mask: Any = None, **streams: Any,
    ) -> Predictions:  # fmt: skip
        """Which of `classes` each sample is of, by the cosine with what the text tower makes of their names: `class`, or
        `STREAM/class` of several streams, with the probability of each class.

        samples: also prepared data. classes: names, or {class: one name or several}. templates, and how the prompts of a class
        are joined: see `evaluate.zero_shot`. prompt_stream: the stream that reads them; None: the only one of text. temperature:
        None is that of the run's own contrastive loss. `DataError` for what can't be asked.
        """
        found = self.embed_data(samples) if isinstance(samples, Prepared) else self._asked(samples, mask, streams)[0]
        asked = classes, templates, prompt_stream, temperature
        return answered(self.system, self._nothing, self.device, found, *asked, self.prompts)

    def of_data(self, data: Prepared, pool: str | None = "auto") -> Predictions:
        """What every head says of all of prepared data, such as those of a folder. pool: a column of its samples, by which rows
        are answered as one, by their mean; `auto` is the run's own, `evaluate.head.pool`, None answers row by row."""
        require_labels(self.system, self.folder)
        found = self.embed_data(data)
        column = OmegaConf.select(self._cfg, "evaluate.head.pool", default=None) if pool == "auto" else pool
        if column is not None:
            found = of_each(found, data.samples, column, kinds_of(self.record))
        return self._predictions(found, data, None)

    def _asked(self, samples: Any, mask: Any, streams: dict[str, Any]) -> tuple[Embeddings, Prepared]:
        with self.opened(samples, mask=mask, **streams) as data:
            return self.embed_data(data), data

    @contextmanager
    def opened(self, samples: Any = None, *, mask: Any = None, **streams: Any) -> Iterator[Prepared]:
        """What is given, prepared as the run's own data are; to be read within the block."""
        with tempfile.TemporaryDirectory(prefix="multimodal_lab_") as folder:
            yield self.prepared(self._rows(samples, mask, streams, Files(self.source_node, Path(folder))))

    def prepared(self, source: Source, record: dict[str, Any] | None = None, **choices: Any) -> Prepared:
        """Samples of a source as the run would see them; record: the run's own, or one of images of another size.

        choices: of `Data`, such as `on_error`, where they differ from its defaults.
        """
        data, record = copy.copy(self._data), record or self.record
        data.source = source
        vars(data).update(choices)
        prepared: Prepared = data.prepare(self._modality, self._cfg.seed, frozen=record)
        return prepared

    def facts(self) -> tuple[dict[str, tuple[Band, ...]], dict[str, float]]:
        """{stream: its stored bands} and {stream: the largest value of its stored type}."""
        bands = {name: tuple(Band(*b) for b in own["stored"]) for name, own in self.record["streams"].items()}
        return bands, {name: float(one.layout.get("full_scale", 1.0)) for name, one in self.expected.items()}

    def _rows(self, samples: Any, mask: Any, streams: dict[str, Any], files: Files) -> Given:
        """The rows of what is given, by stream; the first thing that can't be used is a `DataError`."""
        streams = by_stream(streams, self.expected, files.sensors)
        ids = None
        if isinstance(samples, pd.DataFrame):
            streams = {**inputs.of_frame(samples, self.expected), **streams}
            ids = [str(i) for i in (samples.get("id", samples.index))]
        elif samples is not None and not streams and (paths := _paths(samples)):
            own, ids = files.samples(paths), [str(p) for p in paths]
            return self.given(ids, {n: own for n, e in self.expected.items() if not e.is_text}, _masks(mask, len(own)))
        elif samples is not None:
            if len(self.expected) > 1 or streams:
                first = next(iter(self.expected))
                raise DataError(f"this run reads {', '.join(self.expected)}; give each by its name: {first}=…")
            streams = {next(iter(self.expected)): samples}
        if not streams:
            raise DataError(f"nothing is given; this run reads {', '.join(self.expected)}")
        found = {name: inputs.values(x, self.expected[name], files) for name, x in streams.items() if x is not None}
        counts = {name: len(own) for name, own in found.items()}
        if len(set(counts.values())) != 1 or not next(iter(counts.values())):
            raise DataError(f"as many samples of each stream, and one at least; found {counts or 'none'}")
        n = next(iter(counts.values()))
        if empty := [i for i in range(n) if all(own[i] is None for own in found.values())]:
            raise DataError(f"sample {empty[0]}: every stream is missing")
        self._require_mask(found, mask)
        return self.given(ids or [str(i) for i in range(n)], found, _masks(mask, n))

    def _require_mask(self, found: dict[str, list[Any]], mask: Any) -> None:
        for name, own in found.items():
            if (
                self.expected[name].layout.get("masked")
                and mask is None
                and any(isinstance(x, np.ndarray) for x in own)
            ):
                raise DataError(
                    f"stream {name}: the run was trained with the specimen's mask; give mask=… (N, H, W), True on the specimen"
                )

    def given(self, ids: Sequence[str], values: dict[str, Any], masks: list[np.ndarray] | None = None) -> Given:
        """A source of rows of values, see `Given`."""
        bands, scales = self.facts()
        return Given(ids, values, masks=masks, field_bands=bands, scales=scales)

    def _thresholds(self, asked: float | None) -> float | dict[str, dict[str, float]]:
        """What several labels are given above: the number that is asked for, else the run's, or {head: {class: threshold}}."""
        own = OmegaConf.select(self._cfg, "evaluate.head.threshold", default=thresholds.UNTUNED)
        if asked is not None or own != "tuned":
            return float(own if asked is None else asked)
        several = "labels" in kinds_of(self.record).values()
        # with eval_split=val there is no split to tune on, and the run itself took 0.5
        return thresholds.read(self.folder) if several and self._cfg.get("eval_split") != "val" else thresholds.UNTUNED

    def _predictions(self, found: Embeddings, data: Prepared, threshold: float | None) -> Predictions:
        targets = {name: data.tokens[name] for name in data.target_streams if name in data.tokens}
        said = {head: own for head, own in found.said.items() if not own.of_pixels}
        made = answers(said, kinds_of(self.record), data.classes, targets, self._thresholds(threshold))
        return Predictions(found.ids, made)


def _paths(samples: Any) -> list[Path]:
    """The paths of files that are given for whole samples, if that is what is given."""
    every = [samples] if isinstance(samples, str | Path) else samples
    if not isinstance(every, Sequence) or isinstance(every, str | Image):
        return []
    return [Path(p).expanduser() for p in every] if all(isinstance(p, str | Path) for p in every) else []


def _masks(mask: Any, n: int) -> list[np.ndarray] | None:
    if mask is None:
        return None
    found = np.asarray(mask)
    found = found[None] if found.ndim == 2 else found
    if found.ndim != 3 or len(found) != n:
        raise DataError(f"mask: an array of shape {np.shape(mask)}, expected ({n}, H, W)")
    return [m > 0 for m in found]
