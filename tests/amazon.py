"""Servers that answer as AWS does: moto for what it knows, and one of our own for pages, throttling, partial data, percentiles."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}  # fmt: skip
"""What boto3 needs to sign a request to nobody."""


class Refusal(Exception):  # noqa: N818 - an answer, not a failure of the test
    """An answer with an error: its code, and the HTTP status."""

    def __init__(self, code: str, status: int = 400) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


def refused(_: object) -> dict[str, Any]:
    """The answer to what nobody may ask."""
    raise Refusal("AccessDeniedException", 403)


Answer = Callable[[dict[str, Any]], dict[str, Any]]


@contextmanager
def answering(answers: dict[str, Answer]) -> Iterator[tuple[str, list[str]]]:
    """A server that gives the answer of each operation, by name; yields its URL and the operations it was asked, in order.

    The operations of CloudWatch and CodeDeploy are those of the API; those of Lambda are `GET` and the last part of the path.
    """
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length) or b"{}")
            self.answer(self.headers.get("X-Amz-Target", "").rpartition(".")[2], body)

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            self.answer(f"GET {url.path.rstrip('/').rpartition('/')[2]}", dict(parse_qsl(url.query)))

        def answer(self, operation: str, given: dict[str, Any]) -> None:
            asked.append(operation)
            status, answer = 200, {}
            try:
                answer = answers.get(operation, refused)(given)
            except Refusal as refusal:
                status, answer = refusal.status, {"__type": refusal.code, "message": "as the test wants it"}
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("x-amzn-ErrorType", answer.get("__type", ""))
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def moto(log: Path) -> Iterator[str]:
    """moto's server in a process of its own, which takes a free port and says which; yields its URL."""
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
            stdout=output, stderr=subprocess.STDOUT, env=os.environ | CREDENTIALS,
        )  # fmt: skip
    try:
        for _ in range(480):
            if told := re.search(r"Running on (http://127\.0\.0\.1:[0-9]+)\s", log.read_text()):
                break
            assert process.poll() is None, log.read_text()
            threading.Event().wait(0.25)  # a test may do away with sleep
        else:
            raise TimeoutError(f"moto did not start within two minutes: {log.read_text()}")
        yield told[1]
    finally:
        process.terminate()
        process.wait(30)
