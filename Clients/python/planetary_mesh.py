"""A client of a Planetary Mesh node's API, out of Python's standard library alone. docs/api.md is what it speaks.

    node = Node.at_home("~/.mesh")                            # its socket, which only its owner can open
    node = Node("http://127.0.0.1:4080", token="…")           # or TCP, with the text of the file api-token
    module = node.add(pathlib.Path("sum.wasm").read_bytes())
    job = node.submit({"module_cid": module}, key="monday")   # the same key submits once
    print(node.wait(job)["outcome"])

Every failure is a `Problem`. A `Node` keeps no connection and may be used by several threads.
"""

from __future__ import annotations

import http.client
import json
import pathlib
import re
import socket
import ssl
from collections.abc import Iterator
from typing import Any, NotRequired, TypedDict
from urllib.parse import quote, urlencode, urlsplit

JSON = dict[str, Any]
# Within `Node`, where `bytes` is a method.
Data = bytes


class NamedText(TypedDict):
    """A text with a name: a variable of the environment, or an input, whose text is a CID."""

    name: str
    text: str


class Limits(TypedDict, total=False):
    """The limits of a run; what is missing is the node's default."""

    max_fuel: int
    max_memory_bytes: int
    max_output_bytes: int
    timeout_seconds: int


class Submission(TypedDict):
    """A job; /openapi.json has the rest of its keys."""

    module_cid: str
    entry: NotRequired[str]
    args: NotRequired[list[str]]
    env: NotRequired[list[NamedText]]
    inputs: NotRequired[list[NamedText]]
    limits: NotRequired[Limits]
    budget: NotRequired[int]
    label: NotRequired[str]
    verification: NotRequired[str]


class Job(TypedDict):
    """A job as a node sees it."""

    job_id: str
    role: str
    outcome: str
    phase: str
    reason: str
    terminal: bool
    submitted_at: int
    updated_at: int
    receipt_cid: NotRequired[str]
    exit_code: NotRequired[int]
    price: NotRequired[int]
    label: NotRequired[str]
    result: NotRequired[JSON]


class Check(TypedDict):
    """One check of a receipt; the verdict is passed, failed or skipped."""

    name: str
    verdict: str
    detail: str


class Report(TypedDict):
    """What checking a receipt found."""

    receipt_cid: str
    valid: bool
    lines: list[Check]


class Event(TypedDict):
    """A change at the node; `id` is where to go on."""

    id: str
    event: str
    data: JSON


class Problem(Exception):
    """A failure: `code` is stable, `detail` and `hint` are sentences."""

    def __init__(self, status: int, code: str, detail: str, hint: str | None = None):
        super().__init__(f"{detail} {hint}" if hint else detail)
        self.status, self.code, self.detail, self.hint = status, code, detail, hint


class _Socket(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float | None):
        super().__init__("mesh", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Node:
    """A node, at the path of its socket or the URL of its API over TCP; `ca` is a file of the certificates to trust."""

    def __init__(self, address: str, token: str | None = None, timeout: float | None = 900, ca: str | None = None):
        if "://" in address and not address.startswith(("http://", "https://")):
            raise ValueError(f"{address} is neither the path of a socket nor the http:// or https:// URL of a node.")
        self._address, self._token, self._timeout, self._ca = address, token, timeout, ca
        self._tls = ssl.create_default_context(cafile=ca) if address.startswith("https://") else None

    @classmethod
    def at_home(cls, home: str = "~/.mesh") -> Node:
        """The node of a home folder."""
        return cls(str(pathlib.Path(home).expanduser() / "api.sock"))

    # What everything below is made of.

    def open(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> http.client.HTTPResponse:
        """The answer to a request, to be read and closed; a failure is thrown as a `Problem`."""
        place = urlsplit(self._address).netloc
        connection: http.client.HTTPConnection = _Socket(self._address, self._timeout)
        if self._tls:
            connection = http.client.HTTPSConnection(place, timeout=self._timeout, context=self._tls)
        elif place:
            connection = http.client.HTTPConnection(place, timeout=self._timeout)
        own = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        try:
            connection.request(method, path, body, {"Connection": "close", **own, **(headers or {})})
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise Problem(0, "node_not_running", f"No node answers at {self._address}: {error}.") from error
        # What is left of it is the answer's, and goes with that.
        if connection.sock:
            connection.sock.close()
        if answer.status < 400:
            return answer
        try:
            with answer:
                problem = json.loads(answer.read())
            failure = Problem(answer.status, problem["code"], problem["detail"], problem.get("hint"))
        except (ValueError, KeyError, TypeError):
            failure = Problem(answer.status, "protocol_mismatch", "The answer is none of a node.")
        raise failure

    def bytes(self, method: str, path: str, body: Data | None = None, headers: dict[str, str] | None = None) -> Data:
        """The whole answer to a request."""
        with self.open(method, path, body, headers) as answer:
            return answer.read()

    def json(
        self, method: str, path: str, body: Any = None, query: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """The answer to a request as JSON, both ways."""
        data = None if body is None else json.dumps(body).encode()
        kinds = {"Content-Type": "application/json"} if data else {}
        return json.loads(self.bytes(method, path + _query(query), data, {**kinds, **(headers or {})}) or b"null")

    def pages(self, path: str, query: dict[str, Any] | None = None) -> Iterator[Any]:
        """The pages of a list, each as JSON, by the links from one to the next."""
        target: str | None = path + _query(query)
        while target:
            with self.open("GET", target) as answer:
                page, link = json.loads(answer.read()), answer.getheader("Link", "")
            yield page
            found = re.fullmatch(r'<([^>]*)>; rel="next"', link)
            target = found[1] if found else None

    # The node

    def status(self) -> JSON:
        """Who the node is and how it is doing."""
        return self.json("GET", "/v1/status")

    def peers(self) -> list[JSON]:
        """The connected and the remembered peers."""
        return self.json("GET", "/v1/peers")

    def wallet(self, entries: int = 50, after: int | None = None) -> JSON:
        """Balances, holds, and movements: the newest, or those before one of this number."""
        return self.json("GET", "/v1/wallet", query={"entries": entries, "after": after})

    def events(self, last: str | None = None) -> Iterator[Event]:
        """Every change at the node as it happens, over TCP only; with an event's id, what came since."""
        with self.open("GET", "/v1/events", headers={"Last-Event-ID": last} if last else None) as answer:
            event: JSON = {}
            for line in answer:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name in ("id", "event", "data"):
                    event[name] = json.loads(value) if name == "data" else value
                elif event:
                    yield Event(id=event["id"], event=event["event"], data=event["data"])
                    event = {}

    # Jobs

    def submit(self, job: Submission, key: str | None = None) -> str:
        """Submits a job and returns its ID; the same key submits once."""
        headers = {"Idempotency-Key": f'"{key}"'} if key else None
        return self.json("POST", "/v1/jobs", job, headers=headers)["job_id"]

    def job(self, job_id: str) -> Job:
        """One job."""
        return self.json("GET", f"/v1/jobs/{quote(job_id)}")

    def jobs(self, **query: Any) -> Iterator[Job]:
        """All jobs, the newest first; `status`, `role`, `label`, `since` and `limit` (of a page) as in docs/api.md."""
        for page in self.pages("/v1/jobs", query):
            yield from page["jobs"]

    def wait(self, job_id: str) -> Job:
        """The job, once it has its result, however long that takes."""
        Node(self._address, self._token, None, self._ca).bytes("GET", f"/v1/jobs/{quote(job_id)}/events?scope=result")
        return self.job(job_id)

    def progress(self, job_id: str) -> Iterator[JSON]:
        """What happened to a job and what happens, until its result."""
        with self.open("GET", f"/v1/jobs/{quote(job_id)}/events?scope=everything") as answer:
            for line in answer:
                yield json.loads(line)

    def cancel(self, job_id: str) -> JSON:
        """Cancels a job; of one that has ended nothing changes."""
        return self.json("POST", f"/v1/jobs/{quote(job_id)}/cancel")

    # Receipts

    def receipt(self, cid: str) -> JSON:
        """A receipt, from the node or from the mesh."""
        return self.json("GET", f"/v1/receipts/{quote(cid)}")

    def verify(self, cid: str) -> Report:
        """Checks everything that a receipt claims."""
        return self.json("POST", f"/v1/receipts/{quote(cid)}/verify")

    def replay(self, cid: str) -> Report:
        """Runs a receipt's job again and compares."""
        return self.json("POST", f"/v1/receipts/{quote(cid)}/replay")

    def archive(self, cid: str, outputs: bool = False) -> Data:
        """A receipt and its evidence in one file."""
        return self.bytes("GET", f"/v1/receipts/{quote(cid)}/archive{_query({'outputs': outputs})}")

    # Files

    def add(self, data: Data) -> str:
        """Keeps a file, offers it to the mesh and returns its CID."""
        return json.loads(self.bytes("POST", "/v1/files", data))["cid"]

    def get(self, cid: str, start: int = 0, end: int | None = None) -> Data:
        """A file, or its bytes from `start` up to `end`."""
        if start < 0:
            raise ValueError("start is below zero")
        if end is not None and end <= start:
            return b""
        headers = {"Range": f"bytes={start}-{'' if end is None else end - 1}"} if start or end else None
        return self.bytes("GET", f"/v1/files/{quote(cid)}", headers=headers)

    def block(self, cid: str) -> Data:
        """A block."""
        return self.bytes("GET", f"/v1/blocks/{quote(cid)}")

    def pins(self) -> Iterator[str]:
        """What the node keeps, the newest first."""
        for page in self.pages("/v1/pins"):
            yield from page["pins"]

    def remove(self, cid: str) -> JSON:
        """Forgets a file, a block, or the evidence and outputs of a job."""
        return self.json("DELETE", f"/v1/blocks/{quote(cid)}")


def _query(values: dict[str, Any] | None) -> str:
    """A query; what is None is left out."""
    texts = {k: str(v).lower() if isinstance(v, bool) else v for k, v in (values or {}).items() if v is not None}
    # A plus sign stands for itself in this API.
    return "?" + urlencode(texts, quote_via=quote) if texts else ""
