"""The OpenAPI 3.1 description of the API, for one run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multimodal_lab.serve import schemas
from multimodal_lab.serve.schemas import ref
from multimodal_lab.serve.uploads import SORTS

JSON = "application/json"
ERRORS = {
    "400": "What is no request of this API: no JSON, an unknown key, a value of another type.",
    "403": "Asked for by a page of another site.",
    "413": "A body, or a picture by its header, beyond the limit.",
    "415": "Another Content-Type than JSON, or a file of a sort that the run reads.",
    "422": "What is understood and can't be used: an empty text, a damaged file, numbers of another shape.",
    "503": "Too many requests wait, or the index is still being built: see Retry-After.",
}


def described(run: Mapping[str, Any]) -> dict[str, Any]:
    """The document as plain values."""
    filed = {one["name"]: own for one in run["streams"] if (own := [sort for sort in SORTS if sort in one["accepts"]])}
    paths = {
        "/api/retrieve": _post(
            run, "Retrieve", "The samples nearest to what is given", filed, ("top_k", "of", "split")
        ),
        "/api/predict": _post(run, "Predict", "What the run's heads say of a sample", filed, ("threshold",)),
        "/api/embed": _post(run, "Embed", "The vectors of a sample", filed, ()),
        "/api/run": _get("Run", "What was trained, on which streams, with which heads, and when"),
        "/api/health": _get("Health", "Whether the server answers, and how far the index is"),
        "/pictures/{stream}/{number}": _shown("picture", "What a sample holds in a stream, as JPEG", "image/jpeg"),
        "/media/{stream}/{number}": _shown(
            "media", "A sound as WAV, a video as WebM without sound", "audio/wav", "video/webm"
        ),
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"multimodal_lab: {run['name']}",
            "version": str(run["provenance"].get("multimodal_lab", "unknown")),
            "description": f"Ask the run {run['name']}, checkpoint {run['checkpoint']}. Every error is "
            '{"error": {"status": …, "message": …}} with the status of HTTP.',
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": schemas.of_run(run)},
    }


def example(run: Mapping[str, Any], every: bool) -> dict[str, Any]:
    """Values of the first stream that is quick to write, or of every one."""
    streams = sorted(run["streams"], key=lambda one: "text" not in one["accepts"])
    made = {one["name"]: _value(one) for one in streams}
    return made if every else dict([next(iter(made.items()))])


def _value(one: Mapping[str, Any]) -> Any:
    if "text" in one["accepts"]:
        return "a red bird"
    if sort := next((sort for sort in SORTS if sort in one["accepts"]), None):
        return {"picture": "iVBORw0KGgo…", "sound": "UklGRiT…", "video": "AAAAIGZ0eXA…"}[sort]
    numbers = [0.1, 0.2, "…"][: max(1, min(3, one["count"]))]
    return numbers if one["steps"] is None else [numbers]


def _post(
    run: Mapping[str, Any], name: str, summary: str, filed: Mapping[str, list[str]], words: tuple[str, ...]
) -> dict[str, Any]:
    own = schemas.of_run(run)[f"{name}Request"]["properties"]
    shown: dict[str, Any] = {"streams": example(run, name == "Predict")}
    if name == "Retrieve":
        shown["top_k"] = 5
    content: dict[str, Any] = {JSON: {"schema": ref(f"{name}Request"), "example": shown}}
    made: dict[str, Any] = {"operationId": name.lower(), "summary": summary}
    if filed:
        binary = {"schema": {"type": "string", "format": "binary"}}
        sorts = [sort for sort in SORTS if any(sort in own for own in filed.values())]
        content |= {kind: binary for sort in sorts for kind in SORTS[sort]}
        whose = {"enum": [*filed], **({"default": next(iter(filed))} if len(filed) == 1 else {})}
        what = f"Of a body that is a {' or a '.join(sorts)}"
        made["parameters"] = [_word("stream", whose, f"{what}: whose it is.")]
        made["parameters"] += [_word(key, own[key], f"{what}. {own[key]['description']}") for key in words]
    made["requestBody"] = {"required": True, "content": content}
    failures = ERRORS if name == "Retrieve" else {**ERRORS, "503": "Too many requests wait: see Retry-After."}
    made["responses"] = {
        "200": _answer(f"{name}Answer", summary),
        **{k: _answer("Error", v) for k, v in failures.items()},
    }
    return {"post": made}


def _get(name: str, summary: str) -> dict[str, Any]:
    responses = {"200": _answer(name, summary), "403": _answer("Error", ERRORS["403"])}
    return {"get": {"operationId": name.lower(), "summary": summary, "responses": responses}}


def _shown(name: str, summary: str, *types: str) -> dict[str, Any]:
    binary = {"schema": {"type": "string", "format": "binary"}}
    parameters = [
        {"name": key, "in": "path", "required": True, "schema": schema}
        for key, schema in (("stream", schemas.TEXT), ("number", {"type": "integer", "minimum": 0}))
    ]
    responses = {
        "200": {"description": summary, "content": dict.fromkeys(types, binary)},
        "404": _answer("Error", "There is none."),
    }
    return {"get": {"operationId": name, "summary": summary, "parameters": parameters, "responses": responses}}


def _word(name: str, schema: Mapping[str, Any], description: str) -> dict[str, Any]:
    own = {k: v for k, v in schema.items() if k != "description"}
    return {"name": name, "in": "query", "required": False, "description": description, "schema": own}


def _answer(name: str, description: str) -> dict[str, Any]:
    return {"description": description, "content": {JSON: {"schema": ref(name)}}}
