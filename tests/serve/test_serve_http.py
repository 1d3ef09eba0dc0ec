"""The server itself: who may ask, what is too large or too slow, the headers of all that is sent, and its description."""

import json
import re
import socket
import time
from pathlib import Path

import jsonschema
import pytest
from served_runs import base, drawn, png, served

from multimodal_lab.serve.guard import Guard
from multimodal_lab.serve.limits import Limits
from multimodal_lab.serve.problem import RequestError

QUESTION = {"streams": {"text": "red"}}


def raw(client, request, most=65_536):
    """What comes back on a socket of its own until it is closed."""
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as own:
        own.sendall(request)
        found = b""
        while len(found) < most and (part := own.recv(65_536)):
            found += part
    return found


def host(name):
    return {"Host": name}


@pytest.mark.parametrize(
    "name", ["127.0.0.1:{port}", "localhost:{port}", "localhost", "127.0.0.1:9", "[::1]:{port}", "127.1.2.3"]
)
def test_this_machine_may_ask_by_its_own_names_and_through_a_tunnel(client, name):
    assert client.ask("GET", "/api/health", None, host(name.format(port=client.port)))[0] == 200


@pytest.mark.parametrize(
    "name",
    ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "192.168.1.7:{port}", "", "a b", "localhost@evil",
     "localhost:port", "[::1", "0.0.0.0"],
)  # fmt: skip
def test_a_name_that_leads_here_by_rebinding_is_refused(client, name):
    for method, path in (("GET", "/"), ("GET", "/api/run"), ("POST", "/api/embed")):
        status, _, found = client.ask(
            method, path, b"{}" if method == "POST" else None, host(name.format(port=client.port))
        )
        assert status == 403
        assert "not a name of this server; expected 127.0.0.1 or localhost" in found["error"]["message"]


def test_two_hosts_or_none_are_refused(client):
    for lines in (b"Host: localhost\r\nHost: evil.example\r\n", b""):
        found = raw(client, b"GET /api/run HTTP/1.1\r\n" + lines + b"Connection: close\r\n\r\n")
        assert found.startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:{other}", "https://localhost.evil.example"]
)
def test_another_page_may_not_ask(client, origin):
    origin = origin.format(other=client.port + 1)
    status, found = client.post("/api/embed", QUESTION, Origin=origin)
    assert status == 403
    assert "another page's" in found["error"]["message"]
    assert client.get("/api/run", Origin=origin)[0] == 403


def test_this_page_may_ask_and_links_may_lead_to_it(client):
    here = f"http://127.0.0.1:{client.port}"
    assert client.post("/api/embed", QUESTION, Origin=here, **{"Sec-Fetch-Site": "same-origin"})[0] == 200
    assert client.get("/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")[0] == 200
    assert client.get("/pictures/image/1", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")[0] == 403
    assert (
        client.post("/api/embed", QUESTION, **{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"})[0] == 403
    )


def test_on_all_addresses_any_number_address_may_be_asked_by_and_no_other_name():
    guard = Guard("0.0.0.0")
    guard.check(["192.168.1.7:7860"], {}, True)
    guard.check([f"{socket.gethostname()}:7860"], {}, True)
    with pytest.raises(RequestError, match="evil"):
        guard.check(["evil.example"], {}, True)


def test_a_large_body_is_refused_by_its_length_and_the_client_hears_of_it(client):
    status, _, found = client.ask("POST", "/api/embed", b"x" * (21 * 2**20), {"Content-Type": "application/json"})
    assert (status, found["error"]["message"]) == (413, "a body of 21.0 MiB; the limit is 20.0 MiB")
    head = b"POST /api/embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
    head += b"Content-Length: "
    found = raw(client, head + b"999999999999\r\n\r\n")
    assert b" 413 " in found
    assert b"100 Continue" not in found
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as own:
        own.sendall(head + b"28\r\n\r\n")
        assert own.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        own.sendall(b'{"streams":{"text":  "red" }}'[:28])
        assert own.recv(100).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 411),
        (b"\r\n", 411),
        (b"Content-Length: -1\r\n\r\n", 400),
        (b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        (b"Content-Length: five\r\n\r\n", 400),
    ],
)
def test_a_body_of_unknown_length_is_refused(client, lines, status):
    found = raw(client, b"POST /api/embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + lines)
    assert found.startswith(b"HTTP/1.1 %d " % status)
    assert b"Connection: close" in found
    assert json.loads(found.partition(b"\r\n\r\n")[2])["error"]["status"] == status


@pytest.mark.parametrize(
    "request_",
    [b"nonsense\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
     b"GET / HTTP/1.1\r\n" + b"".join(b"A%d: b\r\n" % i for i in range(200)) + b"\r\n", b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"],
)  # fmt: skip
def test_what_is_no_request_is_refused_and_the_server_goes_on(client, request_):
    found = raw(client, request_)
    assert b'"error"' in found
    assert b"<html" not in found.lower()
    assert client.get("/api/health")[0] == 200


def test_a_body_that_never_comes_is_not_waited_for(captioned):
    with served(captioned / "run", limits=Limits(seconds=0.3)) as client:
        began = time.monotonic()
        head = b"POST /api/embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
        assert raw(client, head + b"{") == b""
        assert raw(client, b"") == b""  # nor is a request that never comes
        assert time.monotonic() - began < 5
        assert client.get("/api/health")[0] == 200


def test_a_client_that_goes_away_costs_nothing(client, capfd):
    head = (
        b"POST /api/embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    )
    for request in (head + b"{", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GE"):
        with socket.create_connection(("127.0.0.1", client.port)) as own:
            own.sendall(request)
    assert client.get("/api/health")[0] == 200
    assert "Traceback" not in capfd.readouterr().err


def test_only_so_many_connections_are_open(captioned):
    with served(captioned / "run", limits=Limits(connections=2)) as client:
        held = [socket.create_connection(("127.0.0.1", client.port), timeout=5) for _ in range(2)]
        time.sleep(0.1)
        assert raw(client, b"") == b""  # closed at once
        for own in held:
            own.close()
        time.sleep(0.2)
        assert client.get("/api/health")[0] == 200


def test_an_error_that_nobody_foresaw_is_one_sentence_and_a_traceback_on_the_terminal(client, monkeypatch, capfd):
    def broken(*_, **__):
        return {}["nothing"]

    monkeypatch.setattr(client.model.predictor, "embed", broken)
    status, found = client.post("/api/embed", QUESTION)
    assert status == 500
    assert "KeyError" in found["error"]["message"]
    assert "Traceback" not in json.dumps(found)
    assert "Traceback" in capfd.readouterr().err
    monkeypatch.undo()
    assert client.post("/api/embed", QUESTION)[0] == 200


def test_every_answer_has_a_strict_policy(client):
    asked = "GET /, GET /docs, GET /api/run, GET /none, DELETE /, GET /pictures/image/1, HEAD /page.js"
    for method, path in (one.split() for one in asked.split(", ")):
        headers = client.ask(method, path)[1]
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in headers
        assert "Python" not in headers["Server"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("POST", "/", "GET, HEAD"), ("GET", "/api/embed", "POST"), ("PUT", "/api/run", "GET, HEAD"),
     ("OPTIONS", "/api/embed", "POST"), ("BREW", "/docs", "GET, HEAD")],
)  # fmt: skip
def test_another_method_is_refused_by_name(client, method, path, allowed):
    status, headers, found = client.ask(method, path, b"{}" if method != "GET" else None)
    assert (status, headers["Allow"]) == (405, allowed)
    assert found["error"]["message"] == f"{method} {path}: expected {allowed}"


def test_nothing_lies_at_an_address_but_what_is_named(client):
    for path in (
        "/../etc/passwd",
        "//etc/passwd",
        "/run/config.yaml",
        "/style.css",
        "/%2e%2e/run",
        "/api",
        "/page.js/",
        "/multimodal_lab/serve/page.py",
    ):
        status, _, found = client.get(path)
        assert status == 404
        assert "expected one of" in found["error"]["message"]


def test_head_gives_the_length_alone(client):
    status, headers, content = client.ask("HEAD", "/docs")
    assert (status, content) == (200, b"")
    assert int(headers["Content-Length"]) == len(client.get("/docs")[2])


def test_one_connection_takes_many_requests(client):
    request = b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    found = raw(client, request * 3 + request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert found.count(b"HTTP/1.1 200 OK") == 4


def test_what_is_answered_is_what_the_description_says(client):
    """Every answer, and an error, against the schemas of /openapi.json; every reference leads somewhere."""
    described = client.get("/openapi.json")[2]
    assert described["openapi"] == "3.1.0"
    text = json.dumps(described)
    for name in re.findall(r'"#/components/schemas/(\w+)"', text):
        assert name in described["components"]["schemas"]
    picture = base(png(drawn("red", 5)))
    answers = {
        "RetrieveAnswer": client.post("/api/retrieve", QUESTION)[1],
        "PredictAnswer": client.post("/api/predict", {"streams": {"image": picture}})[1],
        "EmbedAnswer": client.post("/api/embed", QUESTION)[1],
        "Run": client.get("/api/run")[2],
        "Health": client.get("/api/health")[2],
        "Error": client.post("/api/embed", {})[1],
    }
    questions = {"RetrieveRequest": {**QUESTION, "top_k": 3, "of": "image"}, "PredictRequest": {"streams": {"image": picture}},
                 "EmbedRequest": QUESTION}  # fmt: skip
    for name, value in {**answers, **questions}.items():
        schema = {**described, "$ref": f"#/components/schemas/{name}"}
        jsonschema.Draft202012Validator(schema).validate(value)
    wrong = jsonschema.Draft202012Validator({**described, "$ref": "#/components/schemas/RetrieveRequest"})
    assert not wrong.is_valid({"streams": {"txt": "red"}})
    assert not wrong.is_valid({**QUESTION, "top_k": 0})


def test_the_description_is_openapi(client):
    """By the schema of the specification (spec.openapis.org/oas/3.1/schema/2022-10-07, Apache License 2.0)."""
    schema = json.loads((Path(__file__).parent / "openapi_3_1.json").read_text())
    found = client.get("/openapi.json")[2]
    jsonschema.Draft202012Validator(schema).validate(found)
    for own in found["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(own)
    assert not jsonschema.Draft202012Validator(schema).is_valid({**found, "paths": {"/x": {"get": {"responses": 3}}}})


def test_the_docs_need_no_network_and_tell_every_address(client):
    text = client.get("/docs")[2].decode()
    for path in client.get("/openapi.json")[2]["paths"]:
        assert path in text
    assert not re.findall(r"https?://(?!127\.0\.0\.1)", text)
    assert "<script" not in text
