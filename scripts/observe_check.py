"""What scripts/observe-check.sh runs: three nodes, a Prometheus and a receiver of OTLP."""
import base64
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

MESH, PROMETHEUS = os.environ["MESH"], os.environ["PROMETHEUS"]
ROOT = pathlib.Path(__file__).resolve().parent.parent
WAIT_SECONDS = 60
# The span of a program that starts `mesh run`: the example of W3C's specification.
CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes spans as the protocol says, and refuses what OpenTelemetry's own types do not read."""

    spans = []
    faults = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            assert self.path == "/v1/traces" and self.headers["content-type"] == "application/json", self.path
            # Strict: a field that the types do not have is an error.
            request = json_format.Parse(body, ExportTraceServiceRequest())
            for group in request.resource_spans:
                told = {item.key: item.value.string_value for item in group.resource.attributes}
                Receiver.spans += [(told, span) for scope in group.scope_spans for span in scope.spans]
        except Exception as error:  # noqa: BLE001, told at the end
            Receiver.faults.append(repr(error))
        answer = b"{}"
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def hexadecimal(identifier: bytes) -> str:
    """The text of an identifier, which OTLP's JSON has as hex where other bytes are base64."""
    return base64.b64encode(identifier).decode()


def until(what, look):
    """What a look gives, once it gives anything."""
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.2)
    sys.exit(f"observe-check: waited {WAIT_SECONDS} s for {what}, in vain")


class Mesh:
    """Nodes, each a process with a home of its own."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.processes = []

    def command(self, name, *words, **variables):
        return subprocess.run(
            [MESH, *words, "--home", str(self.folder / name)], check=True, capture_output=True, text=True,
            env={**os.environ, **variables}).stdout

    def start(self, name, receiver, bootstrap, executes):
        options = ["--listen", "/ip4/127.0.0.1/tcp/0"] + ([] if executes else ["--no-executor"])
        self.command(name, "init", *options)
        for key, value in {
            "traces.endpoint": receiver, "traces.service": name, "api.listen": "127.0.0.1:0",
        }.items():
            self.command(name, "config", "set", key, value)
        if bootstrap:
            self.command(name, "config", "set", "bootstrap", bootstrap)
        up = [MESH, "up", "--home", str(self.folder / name), "--json"]
        return json.loads(self.run(up, name, stdout=subprocess.PIPE).stdout.readline())

    def run(self, words, name, **streams):
        with open(self.folder / f"{name}.log", "w") as log:
            process = subprocess.Popen(words, **{"stdout": log, **streams}, stderr=log, text=True)
        self.processes.append(process)
        return process

    def stop(self):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait(timeout=30)
            if process.stdout:
                process.stdout.close()


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def configured(mesh, targets):
    """The configuration of docs/metrics.md, with these nodes; each has a token of its own."""
    jobs = []
    for name, target in targets.items():
        jobs.append(
            f'  - job_name: {name}\n    scrape_interval: 1s\n    static_configs:\n      - targets: ["{target}"]\n'
            f"    authorization:\n      credentials_file: {mesh.folder / name / 'api-token-read'}\n")
    path = mesh.folder / "prometheus.yml"
    path.write_text("scrape_configs:\n" + "".join(jobs))
    return path


def asked(base, path, **query):
    with urllib.request.urlopen(f"{base}{path}?{urllib.parse.urlencode(query)}", timeout=10) as answer:
        return json.load(answer)


def ready(base):
    try:
        with urllib.request.urlopen(f"{base}/-/ready", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def scraped(mesh, targets):
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    mesh.run(
        [PROMETHEUS, f"--config.file={configured(mesh, targets)}", f"--storage.tsdb.path={mesh.folder / 'tsdb'}",
         f"--web.listen-address=127.0.0.1:{port}"], "prometheus")
    until("Prometheus", lambda: ready(base))

    def up():
        found = asked(base, "/api/v1/targets")["data"]["activeTargets"]
        return found if len(found) == len(targets) and all(item["health"] == "up" for item in found) else None

    for target in until("all targets to be up", up):
        print(f"up  {target['labels']['job']}  {target['scrapeUrl']}  {target['lastScrapeDuration'] * 1000:.1f} ms")
    # Rates need two scrapes.
    until("a second scrape", lambda: asked(base, "/api/v1/query", query="count_over_time(up[1m]) > 2")["data"]["result"])
    names = asked(base, "/api/v1/label/__name__/values")["data"]
    mine = [name for name in names if name.startswith("mesh_")]
    series = asked(base, "/api/v1/query", query='count({__name__=~"mesh_.*"})')["data"]["result"][0]["value"][1]
    print(f"{len(mine)} metrics, {series} series")
    metadata = asked(base, "/api/v1/metadata")["data"]
    for name in mine:
        assert metadata[name][0]["type"] == ("counter" if name.endswith("_total") else "gauge"), name
    board = json.loads((ROOT / "packaging/grafana/planetary-mesh.json").read_text())
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    empty = []
    for expression in expressions:
        answer = asked(base, "/api/v1/query", query=expression.replace("$node", ".*"))
        assert answer["status"] == "success", (expression, answer)
        if not answer["data"]["result"]:
            empty.append(expression)
    print(f"{len(expressions)} queries of the dashboard, {len(expressions) - len(empty)} with an answer now")
    # What has not happened yet has no series, and the job is over; everything else has to be there.
    allowed = ("mesh_jobs{", "mesh_market_declines_total", "mesh_market_refusals_total")
    assert all(any(word in expression for word in allowed) for expression in empty), empty


def traced(mesh, module):
    output = mesh.command(
        "alice", "run", module, "--stdin", str(ROOT / "README.md"), "--sufficient-bids", "2", "--bid-window", "10s",
        "--json", TRACEPARENT=CALLER)
    job = re.search(r"\bbafy[a-z2-7]{50,}", output)[0]
    trace = json.loads(mesh.command("alice", "explain", "last", "--json"))["trace_id"]
    wanted = {("alice", "job"), ("bob", "bid"), ("carol", "bid")}

    def complete():
        seen = {(told["service.name"], span.name) for told, span in Receiver.spans}
        return wanted <= seen and any(name == "execution" for _, name in seen)

    until("the spans of all nodes", complete)
    names = {hexadecimal(span.span_id): f"{told['service.name']} {span.name}" for told, span in Receiver.spans}
    assert {hexadecimal(span.trace_id) for _, span in Receiver.spans} == {trace}, "more than one trace"
    assert len({told["service.instance.id"] for told, _ in Receiver.spans}) == 3
    links = [hexadecimal(link.trace_id) for _, span in Receiver.spans for link in span.links]
    assert links == [CALLER.split("-")[1]], links
    print(f"job {job[:16]}…, trace {trace}")
    began = min(span.start_time_unix_nano for _, span in Receiver.spans)
    for told, span in sorted(Receiver.spans, key=lambda item: item[1].start_time_unix_nano):
        above = "-" if not span.parent_span_id else names[hexadecimal(span.parent_span_id)]
        start, end = ((nano - began) // 1_000_000 for nano in (span.start_time_unix_nano, span.end_time_unix_nano))
        print(f"  {told['service.name']:6} {span.name:13} {start:6}-{end:<6} ms  under {above}")


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    receiver = f"http://127.0.0.1:{server.server_address[1]}"
    folder = tempfile.mkdtemp(prefix="mesh-observe.", dir="/tmp")
    mesh = Mesh(folder)
    try:
        nodes = {"bob": mesh.start("bob", receiver, None, True)}
        entrance = nodes["bob"]["addresses"][0]
        nodes["carol"] = mesh.start("carol", receiver, entrance, True)
        nodes["alice"] = mesh.start("alice", receiver, entrance, False)
        until("alice's peers", lambda: json.loads(mesh.command("alice", "status", "--json"))["connected_peers"] >= 2)
        traced(mesh, sys.argv[1])
        scraped(mesh, {name: urllib.parse.urlsplit(node["api_address"]).netloc for name, node in nodes.items()})
        assert not Receiver.faults, Receiver.faults
    finally:
        mesh.stop()
        server.shutdown()
        server.server_close()
        shutil.rmtree(folder, ignore_errors=True)
    print("observe-check: one trace over three nodes, and a Prometheus that scrapes all of them")


main()
