"""The whole app behind its door, over real HTTP, with a fake engine."""

import asyncio
import json
import re
import shutil
import socket
import threading
import time
from pathlib import Path

import gradio as gr
import httpx
import pytest

from space import app, launch
from space.door import Door, Function
from space.limits import Limits
from space.visitors import GRACE_S, Visitors, load_visitors
from tests.fakes import FakeEngine, FakeRetriever
from tests.served import API, serving


class EchoEngine(FakeEngine):
    """Answers with the question, unless it has a reply."""

    def stream(self, requests, stop=None):
        self.requests += requests
        for request in requests:
            key = request.variant.key
            reply = self.replies.get(key, f"An answer by {key}. You asked: {request.prompt[1].text}")
            yield from FakeEngine({key: reply}, self.delay_s).stream([request], stop)


@pytest.fixture(scope="module")
def served():
    with serving(EchoEngine(delay_s=0.02), FakeRetriever()) as running:
        yield running


@pytest.fixture
def quiet(served):
    """The app with no question open before and after."""
    def wait():
        deadline = time.monotonic() + 10
        while served.running() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not served.running()

    wait()
    load_visitors()._calls.clear()
    yield served
    wait()


@pytest.mark.parametrize("path", [
    "/", "/?tab=ask&__theme=dark", "/config", "/theme.css", "/favicon.ico", f"{API}/info", f"{API}/startup-events",
    f"{API}/app_id", f"{API}/openapi.json"])
def test_what_the_page_needs_is_served(served, path):
    assert served.http.get(path).status_code == 200


def test_the_scripts_and_styles_of_the_page_are_served(served):
    page = served.http.get("/").text
    files = set(re.findall(r'(?:src|href)="(?:\./|/)?((?:assets|static)/[^"]+)"', page))
    assert len(files) == 2 and all(f.endswith((".js", ".css")) for f in files)
    for file in files:
        assert served.http.get(f"/{file}").status_code == 200, file


@pytest.mark.parametrize("path", [
    "/monitoring", "/monitoring/summary", "/docs", "/redoc", "/login", "/logout", "/user", f"{API}/user",
    f"{API}/token", f"{API}/login_check", f"{API}/runs", f"{API}/dev/reload", f"{API}/deep_link", "/gradio_api/mcp",
    f"{API}/upload", f"{API}/upload_progress?upload_id=1", f"{API}/vibe-code", f"{API}/proxy=http://127.0.0.1/",
    f"{API}/stream/a/b/1/playlist.m3u8", f"{API}/custom_component/1/client/component/x.js", "/nothing", "/.env",
    f"{API}/call/ask", f"{API}/queue/join", f"{API}/profiling/traces"])
def test_everything_else_is_not_there(served, path):
    assert served.http.get(path).status_code in (400, 404)


@pytest.mark.parametrize("path", [
    "upload", "component_server", "process_recording", "vibe-edit", "vibe-code", "stream/x", "stream/x/close",
    "run-history/connect", "queue/data", "reload", "undo-vibe-edit", "call/a/b", "api/predict"])
def test_no_other_route_takes_a_request(served, path):
    assert served.http.post(f"{API}/{path}", json={"data": []}).status_code == 404
    files = {"files": ("a.html", b"<script>alert(1)</script>")}
    assert served.http.post(f"{API}/{path}", files=files).status_code == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "FOO"])
def test_other_methods_are_refused(served, method):
    assert served.http.request(method, "/config").status_code == 405


@pytest.mark.parametrize("path", [
    "/etc/passwd", "app.py", "space/app.py", "/proc/self/environ", "http://127.0.0.1:80/", "file:///etc/passwd",
    "/tmp/gradio/../../etc/passwd", "/tmp/gradiox/a", "/tmp/gradio/%2e%2e/%2e%2e/etc/passwd",
    "//evil.example/x", "/tmp/gradio\\..\\..\\etc\\passwd", "~/.ssh/id_rsa", "/TMP/GRADIO/x"])
def test_no_file_of_the_machine_is_handed_out(served, path):
    for prefix in (f"{API}/file=", "/file=", f"{API}/file/"):
        response = raw(served, f"GET {prefix}{path} HTTP/1.1")
        assert response.startswith((b"HTTP/1.1 400", b"HTTP/1.1 403", b"HTTP/1.1 404")) and b"root:" not in response


def test_a_file_that_the_page_offers_is_handed_out(served):
    from gradio.utils import get_upload_folder

    folder = Path(get_upload_folder()) / "test-door"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        (folder / "run.csv").write_text("id,answer\n")
        got = served.http.get(f"{API}/file={folder / 'run.csv'}")
        assert got.status_code == 200 and got.text == "id,answer\n"
    finally:
        shutil.rmtree(folder)


def raw(served, first_line, headers="", body=b"", wait_s=5.0):
    """Bytes as an attacker writes them, with no library to tidy them up."""
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=wait_s) as connection:
        connection.sendall(f"{first_line}\r\nHost: x\r\n{headers}Connection: close\r\n\r\n".encode() + body)
        parts = []
        try:
            while part := connection.recv(65536):
                parts.append(part)
        except OSError:  # nothing more came, or the server hung up on us
            pass
        return b"".join(parts)


@pytest.mark.parametrize("path", [
    "/../etc/passwd", "/static/../../app.py", "/static/%2e%2e/%2e%2e/app.py", "/assets/..%2f..%2fapp.py",
    "/static/..\\app.py", "//evil.example", "/%00", "/config%2f..", "/static/%252e%252e/x", "/\u00adx",
    "/" + "a" * 5000, "/?" + "a" * 5000])
def test_path_tricks_are_refused(served, path):
    response = raw(served, f"GET {path.encode('utf-8').decode('latin-1')} HTTP/1.1")
    assert response[9:12] in (b"400", b"404", b"414"), response[:80]


def test_header_tricks_change_nothing_that_is_served(served):
    def links(**headers):
        return served.http.get("/config", headers={"Accept-Encoding": "identity"} | headers).json()["root"]

    forged = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Gradio-Server": "http://evil.example",
              "X-Forwarded-Prefix": "/evil", "Forwarded": "host=evil.example"}
    assert links(**forged) == links() and "evil" not in served.http.get("/", headers=forged).text
    many = {f"X-{n}": "a" * 100 for n in range(90)}
    assert served.http.get("/config", headers=many).status_code in (200, 400, 431)
    assert raw(served, "GET / HTTP/1.1", "X: " + "a" * 200_000 + "\r\n")[9:12] in (b"", b"400", b"431")
    assert served.http.get("/config").status_code == 200


def test_every_response_carries_the_security_headers(served):
    for response in (served.http.get("/"), served.http.get("/nothing"), served.http.post(f"{API}/upload")):
        policy = response.headers["content-security-policy"]
        assert "connect-src 'self'" in policy and "img-src 'self'" in policy and "frame-ancestors 'self'" in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "x-frame-options" not in response.headers
    assert served.http.get(f"{API}/upload").text.count("Traceback") == 0


def test_on_a_space_hugging_face_may_frame_the_page():
    from space.door_checks import security_headers

    policy = dict(security_headers(framed=True))[b"content-security-policy"].decode()
    assert "frame-ancestors 'self' https://huggingface.co https://*.hf.space" in policy


def test_a_question_is_answered_through_the_door(quiet):
    assert "An answer by tuned_rag." in quiet.answer("a1")


@pytest.mark.parametrize("question", [None, 5, {"a": 1}, ["x"], True, "", " ", "x" * 5000, "?!", "\u0000", "\ud800"])
def test_a_forged_value_is_a_sentence_and_costs_nothing(quiet, question):
    before = len(quiet.engine.requests)
    body = json.dumps({"data": quiet.values(question), "fn_index": quiet.ask_index, "session_hash": "f1"})
    joined = quiet.http.post(f"{API}/queue/join", content=body, headers={"Content-Type": "application/json"})
    if isinstance(question, str | None):
        said = json.dumps(list(quiet.listen("f1")))
        assert re.search(r"status-line[^<]*>[^<]*(Type a question|Please shorten it|Please ask in words)", said), said
        assert "Traceback" not in said
    else:
        assert joined.status_code == 400 and "text" in joined.json()["detail"]
    assert len(quiet.engine.requests) == before


def test_bodies_are_bounded_whatever_their_length_says(quiet):
    assert quiet.join(question="x" * 70_000).status_code == 413
    lie = b"POST " + f"{API}/queue/join HTTP/1.1".encode()
    response = raw(quiet, lie.decode(), "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n",
                   b"".join(b"4000\r\n" + b"x" * 0x4000 + b"\r\n" for _ in range(6)) + b"0\r\n\r\n")
    assert response[9:12] == b"413"
    response = raw(quiet, lie.decode(), "Content-Type: application/json\r\nContent-Length: 30000000\r\n", b"{")
    assert response[9:12] == b"413"


def test_a_body_that_does_not_arrive_is_let_go(quiet, monkeypatch):
    import space.door_checks

    monkeypatch.setattr(space.door_checks, "BODY_S", 0.3)
    begun = time.monotonic()
    response = raw(quiet, f"POST {API}/queue/join HTTP/1.1",
                   "Content-Type: application/json\r\nContent-Length: 100\r\n", b'{"data"')
    assert response[9:12] == b"408" and time.monotonic() - begun < 4


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff\xfe", b"[" * 60_000, b'{"data":' * 7000,
    b'{"data": {}}', b'{"data": [], "fn_index": true}', b'{"data": [], "fn_index": "0"}',
    b'{"data": [], "fn_index": 1.5}', b'{"data": [], "fn_index": 10000000000000000000000}',
    b'{"data": [], "fn_index": -1}', b'{"data": [], "fn_index": 9999}', b'{"data": []}',
    b'{"data": [], "session_hash": 5, "fn_index": 0}', b'{"data": [], "session_hash": "../../x", "fn_index": 0}',
    b'{"data": [], "session_hash": "", "fn_index": 0}', b'{"data": [[1]], "batched": true, "fn_index": 0}',
    b'{"data": [' + b"1," * 100 + b'1], "fn_index": 0}'])
def test_forged_calls_are_refused_with_a_sentence(quiet, body):
    for path in ("queue/join", "run/predict", "call/ask", "cancel"):
        response = quiet.http.post(f"{API}/{path}", content=body, headers={"Content-Type": "application/json"})
        if path == "call/ask" and response.status_code == 200:  # called by name, so the number is not looked at
            response = quiet.http.get(f"{API}/{path}/{response.json()['event_id']}")
            assert "event: error" in response.text and "event: complete" not in response.text
        else:
            assert response.status_code in (400, 404, 422), (path, response.status_code, response.text)
        assert "Traceback" not in response.text


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_only_json_is_read(quiet, kind):
    body = json.dumps({"data": ["x"], "fn_index": quiet.ask_index, "session_hash": "s"})
    response = quiet.http.post(f"{API}/queue/join", content=body, headers={"Content-Type": kind} if kind else {})
    assert response.status_code == 415


def test_private_functions_cannot_be_called_by_name_nor_past_the_queue(quiet):
    names = {f.api_name for f in quiet.page.fns.values() if f.api_name and f.api_visibility != "public"}
    assert names
    for name in names:
        load_visitors()._calls.clear()
        for route in ("call", "call/v2", "run", "api"):
            assert quiet.http.post(f"{API}/{route}/{name}", json={"data": ["x"]}).status_code == 404, (route, name)
    queued = {"data": quiet.values("What is MLA?"), "fn_index": quiet.ask_index, "session_hash": "r1"}
    assert quiet.http.post(f"{API}/run/predict", json=queued).status_code == 404
    assert not quiet.running()


def test_a_session_waits_for_its_own_questions(quiet):
    quiet.engine.delay_s = 0.3
    try:
        answers = [quiet.join("two").status_code for _ in range(5)]
        assert answers == [200] * 4 + [429]  # two questions and two events that may turn out to need no model
        refused = quiet.join("two")
        assert re.search(r"Your last questions are still being answered. Please try again in about \d+ second",
                         refused.json()["detail"]) and int(refused.headers["retry-after"]) > 0
    finally:
        quiet.engine.delay_s = 0.02


@pytest.mark.parametrize("joins", [100, pytest.param(1000, marks=pytest.mark.heavy)])
def test_a_thousand_joins_leave_the_app_answering(quiet, joins):
    took_s, codes, start = [], [], time.monotonic()
    for n in range(joins):
        begun = time.monotonic()
        codes.append(quiet.join(f"j{n}").status_code)
        took_s.append(time.monotonic() - begun)
    rounds = 1 + (time.monotonic() - start) / GRACE_S
    assert set(codes) == {200, 429} and codes.count(200) <= 8 * rounds + 8
    assert sorted(took_s)[int(0.98 * joins)] < 1 + quiet.slowness_s()
    deadline = time.monotonic() + 10
    while quiet.running() and time.monotonic() < deadline:
        time.sleep(0.05)
    load_visitors()._calls.clear()
    assert "An answer by plain." in quiet.answer("after")


def test_a_question_that_nobody_listens_to_never_reaches_the_engine(quiet):
    before = len(quiet.engine.requests)
    assert quiet.join("deaf").status_code == 200
    deadline = time.monotonic() + 6
    while quiet.running() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not quiet.running() and len(quiet.engine.requests) == before


def test_a_slot_is_free_within_a_second_after_its_listener_left(quiet):
    quiet.engine.delay_s = 0.5
    try:
        assert quiet.join("left").status_code == 200
        for message in quiet.listen("left"):
            if message["msg"] == "process_generating":
                break
        left = time.monotonic()
        while quiet.running() and time.monotonic() - left < 5:
            time.sleep(0.02)
        assert time.monotonic() - left <= 1 + quiet.slowness_s()
    finally:
        quiet.engine.delay_s = 0.02


def test_stop_passes_the_door_while_a_question_of_the_same_visitor_runs(quiet):
    quiet.engine.delay_s = 1.0  # to its end it would take 27 s
    try:
        assert quiet.join("stopper").status_code == 200
        begun, stopped = 0.0, ""
        for message in quiet.listen("stopper"):
            if message["msg"] == "process_generating" and not begun:
                begun = time.monotonic()
                for _ in range(3):  # an impatient visitor
                    assert quiet.call("stop", "stopper").status_code == 200
            stopped += json.dumps(message)
        assert "Stopped." in stopped and time.monotonic() - begun < 3 + quiet.slowness_s()
    finally:
        quiet.engine.delay_s = 0.02


def test_other_tabs_work_while_a_visitor_has_as_many_questions_as_allowed(quiet):
    quiet.engine.delay_s = 0.3
    try:
        assert [quiet.join("full").status_code for _ in range(5)][-1] == 429
        assert quiet.http.get("/").status_code == 200
        loads = [i for i, f in quiet.page.fns.items()
                 if f.concurrency_id != launch.QUESTIONS and f.queue and not f.inputs]
        assert loads
        for index in loads:
            assert quiet.join("other", fn_index=index, data=[]).status_code == 200
    finally:
        quiet.engine.delay_s = 0.02


def test_one_address_cannot_fill_the_queue_with_other_events(quiet, monkeypatch):
    monkeypatch.setattr(quiet.engine, "loading", lambda: "Loading a model that never comes.")
    index = next(i for i, f in quiet.page.fns.items() if f.name == "_follow_loading")
    load_visitors()._calls.clear()
    codes = [quiet.join(f"flood{n}", fn_index=index, data=[]).status_code for n in range(30)]
    assert codes == [200] * 24 + [429] * 6
    load_visitors()._calls.clear()
    assert "An answer by tuned_rag." in quiet.answer("asks")
    monkeypatch.undo()
    deadline = time.monotonic() + 10
    while quiet.running() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not quiet.running()


def test_a_program_that_listens_by_event_id_is_a_listener():
    def ask(question: str):
        visitors = load_visitors()
        deadline = time.monotonic() + 10
        while not visitors.listened(ask.session) and time.monotonic() < deadline:
            time.sleep(0.02)
        for _ in range(10):
            assert visitors.listened(ask.session), "nobody listens"
            time.sleep(0.02)
        return question.upper()

    def asked(question: str, request: gr.Request) -> str:
        ask.session = request.session_hash
        return ask(question)

    with pytest.MonkeyPatch.context() as patch:
        def build():
            with gr.Blocks() as page:
                box = gr.Textbox()
                gr.Button().click(lambda x: x, box, box, concurrency_id="ask", api_visibility="private")
                gr.api(asked, api_name="ask", concurrency_id="ask")
            return page.queue(api_open=False)

        patch.setattr(app, "build", build)
        with serving(FakeEngine(), FakeRetriever()) as small:
            joined = small.http.post(f"{API}/call/ask", json={"data": ["hello"]})
            stream = small.http.get(f"{API}/call/ask/{joined.json()['event_id']}").text
            assert "event: complete" in stream and "HELLO" in stream
            from gradio_client import Client

            client = Client(small.url, verbose=False)
            try:
                assert client.predict("again", api_name="/ask") == "AGAIN"
            finally:
                client.close()


def test_a_reader_that_takes_nothing_is_let_go(quiet, monkeypatch):
    import space.door

    monkeypatch.setattr(space.door, "SEND_S", 0.3)
    quiet.engine.replies = {"plain": " ".join(["word" * 500] * 600)}
    quiet.engine.delay_s = 0.0
    host, port = quiet.url.removeprefix("http://").split(":")
    try:
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect((host, int(port)))
            assert quiet.join("slow").status_code == 200
            slow.sendall(f"GET {API}/queue/data?session_hash=slow HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            deadline = time.monotonic() + 60
            time.sleep(0.5)
            while quiet.running() and time.monotonic() < deadline:
                time.sleep(0.05)
            assert not quiet.running()
            while load_visitors()._streams and time.monotonic() < deadline:
                time.sleep(0.05)
            assert not load_visitors()._streams
    finally:
        quiet.engine.replies, quiet.engine.delay_s = {}, 0.02


def test_an_address_behind_a_trusted_proxy_cannot_be_forged():
    async def gradio(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"event_id": "e"}'})

    class Desk:
        def function(self, index, name):
            return Function("ask", public=True, queued=True, question=True)

        def unfinished(self, event):
            return True

        def session_of(self, event):
            return ""

        def closing(self, session):
            return False

    async def join(client, forwarded):
        row = {"data": ["x"], "fn_index": 0, "session_hash": "s" + forwarded.replace(".", "").replace(", ", "-")}
        return (await client.post(f"{API}/queue/join", json=row, headers={"X-Forwarded-For": forwarded})).status_code

    async def visit(trusted):
        door = Door(gradio, Desk(), Visitors(Limits(spare=0)), trust_forwarded=trusted)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://x") as client:
            forged = [await join(client, f"1.2.3.{n}, 8.8.4.4") for n in range(5)]
            return [*forged, await join(client, "8.8.8.8")]

    assert asyncio.run(visit(trusted=True)) == [200] * 4 + [429, 200]
    assert asyncio.run(visit(trusted=False)) == [200] * 4 + [429, 429]


def test_what_is_asked_while_the_last_stream_closes_waits_for_its_end():
    """Gradio would take it and then drop it with the stream."""
    joined_at = []

    async def gradio(scope, receive, send):
        joined_at.append(time.monotonic())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"event_id": "e"}'})

    class Desk:
        def __init__(self):
            self.done = self.public = True

        def function(self, index, name):
            return Function("look", public=self.public, queued=True, question=False)

        def unfinished(self, event):
            return True

        def session_of(self, event):
            return ""

        def closing(self, session):
            return self.done

    async def ask(client):
        begun = time.monotonic()
        await client.post(f"{API}/queue/join", json={"data": [], "fn_index": 0, "session_hash": "s"})
        return joined_at[-1] - begun

    async def visit():
        visitors, desk = Visitors(), Desk()
        async with httpx.AsyncClient(transport=httpx.ASGITransport(Door(gradio, desk, visitors)),
                                     base_url="http://x") as client:
            free = await ask(client)
            visitors.enter_stream("s", "127.0.0.1")
            asked = asyncio.create_task(ask(client))
            await asyncio.sleep(0.3)
            visitors.leave_stream("s", "127.0.0.1")
            held = await asked
            visitors.enter_stream("s", "127.0.0.1")
            visitors.leave_stream("s", "127.0.0.1")
            behind = await ask(client)  # just after the end, which the client may not have seen yet
            later = await ask(client)
            visitors.enter_stream("s", "127.0.0.1")
            visitors.leave_stream("s", "127.0.0.1")
            desk.public = False
            clicked = await ask(client)  # the page sees that end at once, and a click must not be slow
            visitors.enter_stream("s", "127.0.0.1")
            hanging = await ask(client)  # a stream that never ends holds nobody up for long
            desk.done = False
            return free, held, hanging, await ask(client), behind, later, clicked

    free, held, hanging, busy, behind, later, clicked = asyncio.run(visit())
    assert 0.5 <= held < 1.1 and 1.0 <= hanging < 1.9 and free < 0.2 and busy < 0.2
    assert 0.2 < behind < 0.8 and later < 0.2 and clicked < 0.2


def test_answers_do_not_cross(quiet):
    """Visitors at once, each in turn: everyone hears of their own question alone."""
    wrong = []

    def visit(n):
        for turn in range(2):
            said = quiet.answer(f"v{n}x{turn}", f"What is number {n}{turn}77?")
            numbers = set(re.findall(r"You asked: What is number (\d+)", said))
            if numbers != {f"{n}{turn}77"} or len(set(re.findall(r"number (\d+)", said))) != 1:
                wrong.append((n, turn))

    threads = [threading.Thread(target=visit, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong
