"""Chromium without a window, driven over its DevTools protocol (used by dashboard-check.py)."""

import base64
import json
import pathlib
import subprocess
import tempfile
import time

import websocket


class Browser:
    """One browser with one tab; collects everything that a page should not have said."""

    def __init__(self, program="chromium"):
        self.folder = tempfile.TemporaryDirectory(prefix="dashboard-browser-", ignore_cleanup_errors=True)
        self.process = subprocess.Popen(
            [
                program,
                "--headless=new",
                "--remote-debugging-port=0",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                "--no-first-run",
                "--disable-extensions",
                "--disable-background-networking",
                "--mute-audio",
                "--disable-dev-shm-usage",
                f"--user-data-dir={self.folder.name}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        port = pathlib.Path(self.folder.name, "DevToolsActivePort")
        self.until(lambda: port.exists() and len(port.read_text().split("\n")) > 1, "Chromium to start", 60)
        number, path = port.read_text().split("\n")[:2]
        self.number, self.complaints, self.dialogs, self.requests = 0, [], 0, set()
        self.socket = websocket.create_connection(
            f"ws://127.0.0.1:{number}{path}", timeout=60, suppress_origin=True, max_size=None
        )
        target = self.send("Target.createTarget", {"url": "about:blank"}, session=None)["targetId"]
        self.session = None
        self.session = self.send("Target.attachToTarget", {"targetId": target, "flatten": True}, session=None)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method, parameters=None, session=""):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters or {}}
        if session is not None:
            message["sessionId"] = self.session
        self.socket.send(json.dumps(message))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.heard(answer)

    def heard(self, event):
        method, parameters = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.complaints.append(f"exception: {details.get('exception', {}).get('description', details['text'])}")
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
            self.complaints.append(f"console: {[each.get('value') for each in parameters['args']]}")
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            entry = parameters["entry"]
            self.complaints.append(f"{entry['source']}: {entry['text']} {entry.get('url', '')}")
        elif method == "Page.javascriptDialogOpening":
            self.dialogs += 1
            self.complaints.append(f"dialog: {parameters['message']}")
        elif method == "Network.requestWillBeSent":
            self.requests.add(parameters["request"]["url"])

    def run(self, script):
        """The value of an expression of JavaScript; awaits promises."""
        result = self.send("Runtime.evaluate", {"expression": script, "returnByValue": True, "awaitPromise": True})
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"].get("exception", {}).get("description", str(result)))
        return result["result"].get("value")

    @staticmethod
    def until(condition, what, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = condition()
            if found:
                return found
            time.sleep(0.05)
        raise TimeoutError(f"waited {seconds} s for {what}")

    def wait(self, script, what=None, seconds=20):
        return self.until(lambda: self.run(script), what or script, seconds)

    def open(self, address):
        self.send("Page.navigate", {"url": address})

    def size(self, width, height):
        self.send(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )

    def theme(self, name):
        self.send(
            "Emulation.setEmulatedMedia",
            {
                "features": [
                    {"name": "prefers-color-scheme", "value": name},
                    {"name": "prefers-reduced-motion", "value": "reduce"},
                ]
            },
        )

    def picture(self):
        return base64.b64decode(self.send("Page.captureScreenshot", {"format": "png"})["data"])

    def files(self, selector, paths):
        """Gives a file input its files, as a person would choose them."""
        document = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", {"nodeId": document, "selector": selector})["nodeId"]
        self.send("DOM.setFileInputFiles", {"nodeId": node, "files": [str(path) for path in paths]})

    def close(self):
        self.socket.close()
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()
