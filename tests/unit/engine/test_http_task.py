"""The program runs in processes of its own, against a small real server on 127.0.0.1."""

import json
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from app.engine.launchers.outputs import parse_outputs


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.partition("?")[0]
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append(SimpleNamespace(headers=dict(self.headers), body=body))
        getattr(self, "answer_" + path.strip("/").replace("-", "_"))()

    do_POST = do_GET  # noqa: N815 - the name is that of http.server

    def answer(self, body=b"", status=200, content_type="text/plain", **headers):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def answer_text(self):
        self.answer("Grüße\0".encode())

    def answer_latin(self):
        self.answer("Grüße".encode("latin-1"), content_type="text/plain; charset=latin-1")

    def answer_odd_charset(self):
        self.answer("Grüße".encode(), content_type="text/plain; charset=klingon")

    def answer_json(self):
        self.answer(b'{"n": [1, null]}', content_type="application/problem+json; charset=utf-8")

    def answer_nan(self):
        self.answer(b'{"n": NaN}', content_type="application/json")

    def answer_teapot(self):
        self.answer(b"no coffee", status=418)

    def answer_moved(self):
        self.answer(status=302, Location="/text")

    def answer_to_a_file(self):
        self.answer(status=302, Location="file:///etc/passwd")

    def answer_round(self):
        self.answer(status=302, Location="/round")

    def answer_huge(self):
        self.answer(b'"' * 3_000_000)

    def answer_created(self):
        self.answer(b"made", status=201)

    def answer_accepted(self):
        self.answer(status=202)

    def answer_partial(self):
        self.answer(b"p", status=206)

    def answer_empty(self):
        self.send_response(204)
        self.end_headers()

    def answer_long_json(self):
        self.answer(b'"' + b"x" * 1_048_570 + b'"', content_type="application/json")

    def answer_numbers(self):
        self.answer(
            b'{"n": 123456789012345678901234567890, "f": 1.10}', content_type="application/json"
        )

    def answer_infinite(self):
        self.answer(b'{"n": 1e999}', content_type="application/json")

    def answer_marked(self):
        self.answer(b"\xef\xbb\xbf[1]", content_type="application/json")

    def answer_nothing(self):
        self.answer(content_type="application/json")

    def answer_cookies(self):
        self.answer(**{"X-Token": "abc", "Set-Cookie": "a=1"})

    def answer_broken(self):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"only this")
        self.wfile.flush()
        self.close_connection = True

    def log_message(self, *_args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_args):
        pass  # a client that has given up


@pytest.fixture(scope="module")
def server():
    with Server(("127.0.0.1", 0), Handler) as httpd:
        httpd.seen = []
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        yield httpd
        httpd.shutdown()
        thread.join()


# To begin a process is cheap, but to import what the program needs is not: one process does that,
# and each run is a copy of it.
FORKS = """
import json, os, sys
from app.engine.http_task import main

for line in sys.stdin:
    request, folder, env = json.loads(line)
    if child := os.fork():
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        continue
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    os.dup2(os.open(request, os.O_RDONLY), 0)
    sys.stdin = open(0, closefd=False)
    for number, name in enumerate(["out", "err"], start=1):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), number)
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
"""


@pytest.fixture(scope="module")
def fork():
    """Run the program in a folder with some variables; give its exit code, and what it printed."""
    with subprocess.Popen(
        [sys.executable, "-P", "-c", FORKS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:

        def run(request, folder, env):
            process.stdin.write(json.dumps([str(request), str(folder), env]) + "\n")
            process.stdin.flush()
            code = int(process.stdout.readline())
            return code, (folder / "out").read_text(), (folder / "err").read_text()

        yield run
        process.stdin.close()


def execute(request, folder, env):
    """Run the program as a launcher does."""
    result = subprocess.run(
        [sys.executable, "-P", "-m", "app.engine.http_task"],
        input=request.read_text(),
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return result.returncode, result.stdout, result.stderr


@pytest.fixture
def send(server, fork, tmp_path):
    def once(path="/text", method="GET", url=None, env=None, run=fork, **fields):
        url = url or f"http://127.0.0.1:{server.server_port}{path}"
        request = tmp_path / "request.json"
        request.write_text(json.dumps({"method": method, "url": url, **fields}))
        outputs = tmp_path / "outputs"
        env = {"SLIPWAY_OUTPUT": str(outputs), "HOME": str(tmp_path), **(env or {})}
        code, out, err = run(request, tmp_path, env)
        return SimpleNamespace(
            code=code,
            out=out,
            err=err,
            outputs=parse_outputs(outputs.read_bytes()) if outputs.exists() else None,
        )

    return once


def test_it_runs_as_a_launcher_runs_it(send):
    result = send(run=execute)
    assert (result.code, result.err, result.outputs["status"]) == (0, "", 200)
    assert result.out.startswith("GET http://127.0.0.1:")
    result = send("/teapot", run=execute)
    assert (result.code, result.outputs["status"]) == (22, 418)
    assert result.err.startswith("ERROR GET http://127.0.0.1:")


def test_an_expected_status_is_success(send, server):
    result = send()
    assert (result.code, result.err) == (0, "")
    size = len("Grüße\0".encode())
    head = f"GET http://127.0.0.1:{server.server_port}/text -> 200, {size} bytes, "
    assert result.out.startswith(head)
    assert result.out.endswith(" ms\n")
    assert result.outputs["status"] == 200
    assert result.outputs["body"] == "Grüße\ufffd"
    assert result.outputs["headers"]["content-type"] == "text/plain"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/latin", "Grüße"),
        ("/odd-charset", "Grüße"),
        ("/json", {"n": [1, None]}),
        ("/nan", '{"n": NaN}'),
        ("/infinite", '{"n": 1e999}'),
        ("/numbers", {"n": 123456789012345678901234567890, "f": 1.1}),
        ("/marked", [1]),
        ("/nothing", ""),
        ("/empty", ""),
        ("/moved", "Grüße\ufffd"),
    ],
)
def test_the_body_is_a_text_or_a_json_value(send, path, body):
    result = send(path)
    assert (result.code, result.outputs["body"]) == (0, body)


@pytest.mark.parametrize(
    ("expected", "code"), [([418], 0), ([200, 418], 0), ([200], 22), ([], 22), (None, 22)]
)
def test_the_status_decides(send, expected, code):
    result = send("/teapot", expect_status=expected)
    assert result.code == code
    assert result.outputs["status"] == 418
    assert result.outputs["body"] == "no coffee"
    assert result.err.startswith("ERROR GET http://") == bool(code)


@pytest.mark.parametrize(
    ("path", "status"),
    [("/text", 200), ("/created", 201), ("/accepted", 202), ("/empty", 204), ("/partial", 206)],
)
def test_any_2xx_is_success_unless_others_are_expected(send, path, status):
    assert send(path, method="POST").code == 0
    assert send(path, method="POST", expect_status=[]).code == 0
    assert send(path, method="POST", expect_status=[status]).code == 0
    assert send(path, method="POST", expect_status=[299]).code == 22


def test_a_redirect_can_be_expected(send):
    result = send("/moved", expect_status=[302])
    assert (result.code, result.outputs["status"]) == (0, 302)
    assert result.outputs["headers"]["location"] == "/text"


def test_a_redirect_that_is_followed_is_told(send, server):
    result = send("/moved?token=s3cret")
    url = f"http://127.0.0.1:{server.server_port}"
    assert result.out.startswith(f"GET {url}/moved?... -> 302, goes on to {url}/text\n")


def test_header_names_are_in_lower_case_and_cookies_a_list(send):
    headers = send("/cookies").outputs["headers"]
    assert headers["x-token"] == "abc"
    assert headers["set-cookie"] == ["a=1"]


def test_json_that_does_not_fit_is_cut_text(send):
    result = send("/long-json")
    assert result.err == "WARN the response is too long for an output and is cut\n"
    assert len(result.outputs["body"]) > 1_000_000


@pytest.mark.parametrize(
    ("body", "sent", "content_type"),
    [
        (None, b"", None),
        ("Grüße", "Grüße".encode(), None),
        ({"a": [1]}, b'{"a": [1]}', "application/json"),
        ([], b"[]", "application/json"),
        (0, b"0", "application/json"),
    ],
)
def test_a_body_is_sent(send, server, body, sent, content_type):
    assert send(method="POST", body=body, headers={"X-Mark": "7"}).code == 0
    seen = server.seen[-1]
    assert seen.body == sent
    assert seen.headers.get("Content-Type") == content_type
    assert seen.headers["X-Mark"] == "7"


def test_neither_user_nor_password_nor_query_is_printed(send, server):
    for port in (server.server_port, 1):
        result = send(url=f"http://ann:s3cret@127.0.0.1:{port}/teapot?token=s3cret")
        assert result.code != 0
        assert f"ERROR GET http://127.0.0.1:{port}/teapot?...: " in result.err
        assert "s3cret" not in result.out + result.err
        assert "ann" not in result.out + result.err
    assert server.seen[-1].headers["Authorization"].startswith("Basic ")


def test_the_netrc_of_the_service_is_not_used(send, server, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login ann password s3cret")
    assert send(headers={"Authorization": "Bearer mine"}).code == 0
    assert server.seen[-1].headers["Authorization"] == "Bearer mine"


def test_a_huge_response_is_cut_and_still_fits_the_outputs(send):
    result = send("/huge")
    assert result.code == 0
    assert result.err == "WARN the response is too long for an output and is cut\n"
    assert 100_000 < len(result.outputs["body"]) <= 1024 * 1024
    assert set(result.outputs["body"]) == {'"'}


def test_a_server_that_is_not_there(send):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        result = send(url=f"http://127.0.0.1:{unused.getsockname()[1]}/")
    assert (result.code, result.out, result.outputs) == (7, "", None)
    assert "not reachable: Connection refused" in result.err


def test_a_name_that_does_not_exist(send):
    assert send(url="http://no-such-host.invalid/").code == 7


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("file:///etc/passwd", 3),
        ("ftp://127.0.0.1/x", 3),
        ("no url", 3),
        ("http://", 3),
        ("http://[::1", 3),
    ],
)
def test_only_http_and_https(send, url, code):
    result = send(url=url)
    assert (result.code, result.out, result.outputs) == (code, "", None)
    assert result.err.startswith("ERROR ")


@pytest.mark.parametrize(("path", "code"), [("/to-a-file", 3), ("/round", 56), ("/broken", 56)])
def test_a_response_that_leads_nowhere(send, path, code):
    result = send(path)
    assert (result.code, result.outputs) == (code, None)
    assert result.err.startswith("ERROR ")
    assert "Traceback" not in result.err
