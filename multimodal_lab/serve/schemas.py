"""JSON schemas (draft 2020-12) of what the API takes and gives, for one run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multimodal_lab.serve.limits import Limits

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
MEDIA = {"picture": "image/*", "sound": "audio/*", "video": "video/*"}
NUMBER: Schema = {"type": "number"}
WHOLE: Schema = {"type": "integer"}
NUMBERS: Schema = {
    "type": "array",
    "description": "Lists of equal lengths, bands first; null is a number that was not measured.",
}


def ref(name: str) -> Schema:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def obj(properties: Mapping[str, Schema], required: list[str] | None = None, description: str = "") -> Schema:
    """An object of these keys alone; all are there unless `required` says which."""
    made: Schema = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    made["required"] = list(properties) if required is None else required
    return {**made, "description": description} if description else made


def mapping(values: Schema) -> Schema:
    """{name: value}."""
    return {"type": "object", "additionalProperties": values}


def listed(items: Schema) -> Schema:
    """A list of these."""
    return {"type": "array", "items": items}


def maybe(schema: Schema) -> Schema:
    """Or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def of_run(run: Mapping[str, Any]) -> dict[str, Schema]:
    """All schemas by name; the streams are those of the run."""
    costs = {"checkpoint": TEXT, "milliseconds": ref("Milliseconds"), "notes": listed(TEXT)}
    limits = Limits()
    streams = ref("Streams")
    mask = {**NUMBERS, "description": "(H, W) of 0 and 1: 1 on the specimen, where the run was trained with masks."}
    given = {"streams": streams, "mask": mask}
    k = {
        "type": "integer",
        "minimum": 1,
        "maximum": run["limits"]["results"],
        "default": 10,
        "description": "How many samples.",
    }
    names = {n: {**TEXT, "description": d} for n, d in (
        ("of", "What to search in: a stream, or fused; without, the other stream, where there are two."),
        ("by", "Which of the given streams to search by; without, the only one, else fused."),
        ("split", "Samples of this split alone."),
    )}  # fmt: skip
    threshold = {"type": "number", "minimum": 0, "maximum": 1,
                 "description": "What several labels are given above; without, the run's own."}  # fmt: skip
    return {
        "Streams": obj(_streams(run), [], "What is given, by stream; one that is left out is missing."),
        "RetrieveRequest": obj({**given, "top_k": k, **names}, ["streams"]),
        "PredictRequest": obj({**given, "threshold": threshold, **_zero_shot(run)}, ["streams"]),
        "EmbedRequest": obj(given, ["streams"]),
        "RetrieveAnswer": obj({"by": TEXT, "of": TEXT, "results": listed(ref("Result")), **costs}),
        "Result": obj({
            "rank": {**WHOLE, "description": "From 1."}, "number": {**WHOLE, "description": "Its place among all."}, "id": TEXT,
            "split": TEXT, "score": {**NUMBER, "description": "The cosine."}, "texts": mapping(listed(TEXT)),
            "labels": {"type": "object"}, "pictures": {**mapping(TEXT), "description": "Addresses of JPEGs, by stream."},
            "media": {**mapping(TEXT), "description": "Addresses of a WAV or a WebM, by stream: what the run reads of it."},
        }),
        "PredictAnswer": obj({"answers": mapping(ref("Answer")), "zero_shot": mapping(ref("Answer")), **costs}),
        "Answer": obj({
            "label": TEXT, "kind": {"enum": ["class", "labels", "number", "text"]},
            "value": {"type": ["string", "number", "null"],
                      "description": "The class, labels joined by +, the number or the text."},
            "probabilities": listed(obj({"class": TEXT, "probability": {"type": ["number", "null"]}})),
            "std": {"type": ["number", "null"], "description": "Of a number, where the head tells how sure it is."},
        }, ["label", "kind", "value"]),
        "EmbedAnswer": obj({"vectors": mapping(listed(NUMBER)), "projected": mapping(listed(NUMBER)), **costs}),
        "Milliseconds": obj({"waited": NUMBER, "computed": NUMBER, "total": NUMBER}, None, "Waited for the model, by it, all."),
        "Gallery": obj({
            "state": {"enum": ["building", "ready", "failed"]}, "what": TEXT, "done": WHOLE, "total": WHOLE, "message": TEXT,
            "samples": WHOLE, "spaces": listed(TEXT), "splits": listed(TEXT), "pictures": listed(TEXT),
        }, ["state", "what", "done", "total"], "The samples that are searched."),
        "Health": obj({"status": {"const": "ok"}, "checkpoint": TEXT, "gallery": ref("Gallery")}),
        "Run": obj({
            "name": TEXT, "checkpoint": TEXT, "device": TEXT, "streams": listed(ref("Stream")),
            "file": {"type": "boolean", "description": "Whether streams.file may hold all bands of a sample."},
            "heads": listed(obj({"name": TEXT, "label": TEXT, "kind": TEXT, "classes": listed(TEXT)})), "zero_shot": listed(TEXT),
            "projects": listed(TEXT),
            "choices": {"type": "object"}, "provenance": {"type": "object"}, "cost": {"type": "object"},
            "scores": mapping(NUMBER), "limits": mapping(WHOLE), "gallery": ref("Gallery"),
        }),
        "Stream": obj({
            "name": TEXT, "kind": TEXT, "accepts": listed({"enum": ["text", *MEDIA, "numbers"]}), "bands": listed(TEXT),
            "count": WHOLE, "shape": listed(WHOLE), "steps": maybe(WHOLE), "dtype": TEXT, "masked": {"type": "boolean"},
            "rate": {"type": ["number", "null"], "description": "Of its steps, in Hz."},
        }, ["name", "kind", "accepts"]),
        "Error": obj({"error": obj({"status": WHOLE, "message": {**TEXT, "maxLength": limits.letters}})}),
    }  # fmt: skip


def _zero_shot(run: Mapping[str, Any]) -> dict[str, Schema]:
    """Classes that are told by their names alone, of a run that reads words beside another stream."""
    if not run["zero_shot"]:
        return {}
    return {
        "classes": {
            **listed(TEXT),
            "description": "Names of two classes or more, one of which is the answer: zero-shot.",
        },
        "templates": {**listed(TEXT), "description": "What names are put into, each with {}: a photo of a {}."},
        "prompt_stream": {
            "enum": run["zero_shot"],
            "description": "The stream that reads them; without, the only one of words.",
        },
        "temperature": {
            "type": "number",
            "exclusiveMinimum": 0,
            "description": "Of the cosines; without, the run's own loss's.",
        },
    }


def _streams(run: Mapping[str, Any]) -> dict[str, Schema]:
    made = {one["name"]: maybe(_stream(one)) for one in run["streams"]}
    if run["file"]:
        made["file"] = maybe(_file("Base64 of one file that holds all bands of a sample, as the run's own do."))
    return made


def _stream(one: Mapping[str, Any]) -> Schema:
    if "text" in one["accepts"]:
        return {"type": "string", "minLength": 1, "description": "A text."}
    shape = ", ".join(map(str, one["shape"])) or "C, …"
    bands = ", ".join(one["bands"][:8]) + (" …" if one["count"] > 8 else "")
    array: Schema = {**NUMBERS, "description": f"({shape}) of {one['dtype']}, bands {bands}. {NUMBERS['description']}"}
    named: Schema = {"type": "object", "additionalProperties": array, "description": "{band: numbers}."}
    if (sort := next((s for s in MEDIA if s in one["accepts"]), None)) is not None:
        also = ", or of a video with one" if sort == "sound" and "video" in one["accepts"] else ""
        return {"anyOf": [_file(f"Base64 of the file of a {sort}{also}.", sort), array, named]}
    return {"anyOf": [array, named]}


def _file(description: str, sort: str = "picture") -> Schema:
    media = MEDIA[sort]
    return {"type": "string", "contentEncoding": "base64", "contentMediaType": media, "description": description}
