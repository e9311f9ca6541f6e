"""Tests of the client against a running node, as scripts/api-check.sh starts one.

MESH_API is its URL, MESH_HOME its home folder, MESH_MODULE a module that prints the sum of its input's numbers.
"""

import json
import os
import pathlib
import unittest

from planetary_mesh import Node, Problem

home = pathlib.Path(os.environ["MESH_HOME"])


class ClientTests(unittest.TestCase):
    """Each call over TCP and over the socket."""

    def setUp(self):
        self.tcp = Node(os.environ["MESH_API"], (home / "api-token").read_text().strip())
        self.socket = Node.at_home(str(home))
        self.both = [self.tcp, self.socket]

    def test_what_is_no_node_is_told(self):
        for nobody in [Node("http://127.0.0.1:1"), Node("/nowhere/api.sock")]:
            with self.assertRaises(Problem) as gone:
                nobody.status()
            self.assertEqual(gone.exception.code, "node_not_running")
        with self.assertRaises(ValueError):
            Node("ftp://127.0.0.1:4080")

    def test_a_job_runs_once_for_its_key_and_its_receipt_holds(self):
        module = self.tcp.add(pathlib.Path(os.environ["MESH_MODULE"]).read_bytes())
        numbers = self.socket.add(b"1 2 39")
        submission = {
            "module_cid": module, "inputs": [{"name": "stdin", "text": numbers}], "label": "sum",
            "limits": {"max_fuel": 100_000_000}, "verification": "none",
        }
        job = self.tcp.submit(submission, key="a sum")
        self.assertEqual(self.socket.submit(submission, key="a sum"), job)
        self.assertEqual(self.socket.submit({**submission, "idempotency_key": "a sum"}), job)
        with self.assertRaises(Problem) as other:
            self.tcp.submit({**submission, "args": ["more"]}, key="a sum")
        self.assertEqual((other.exception.status, other.exception.code), (409, "conflict"))
        with self.assertRaises(Problem) as two:
            self.tcp.submit({**submission, "idempotency_key": "another"}, key="a sum")
        self.assertEqual(two.exception.code, "invalid_request")
        done = self.tcp.wait(job)
        self.assertEqual((done["outcome"], done["terminal"]), ("succeeded", True))
        lines = list(self.socket.progress(job))
        self.assertIn("result", lines[-1])
        receipt = done["receipt_cid"]
        for node in self.both:
            self.assertEqual(node.receipt(receipt)["job_id"], job)
            self.assertTrue(node.verify(receipt)["valid"])
            self.assertTrue(node.replay(receipt)["valid"])
            self.assertLess(len(node.archive(receipt)), len(node.archive(receipt, outputs=True)))
            self.assertTrue(node.cancel(job)["was_over"])
        self.assertEqual(self.tcp.get(self.tcp.receipt(receipt)["stdout_cid"]), b"42\n")
        self.assertEqual(list(self.tcp.jobs(label="SUM"))[0]["job_id"], job)
        self.assertEqual(list(self.tcp.jobs(label="no such label")), [])
        output = self.tcp.receipt(receipt)["stdout_cid"]
        self.assertEqual((self.tcp.get(output, 1, 2), self.tcp.get(output, 1, 1)), (b"2", b""))
        self.assertRaises(ValueError, self.tcp.get, output, -1)

    def test_lists_go_on_where_they_stopped_while_they_grow(self):
        files = [self.tcp.add(b"%d %b" % (number, os.urandom(8))) for number in range(5)]
        pages = self.tcp.pages("/v1/pins", {"limit": 2})
        first = next(pages)["pins"]
        self.assertEqual(first, files[:2:-1])
        self.socket.add(b"one more " + os.urandom(8))
        self.assertEqual(next(pages)["pins"], files[2:0:-1])
        self.assertEqual([pin for pin in self.socket.pins() if pin in files], files[::-1])

    def test_files_come_whole_in_parts_or_not_again(self):
        # Several blocks, whose borders the ranges cross.
        data = b"".join(number.to_bytes(4, "big") for number in range(1_500_000))
        cid = self.socket.add(data)
        for node in self.both:
            self.assertEqual(node.get(cid), data)
            for start, end in [(0, 1), (1_048_570, 1_048_590), (3_999_999, 5_999_999), (5_999_999, None)]:
                self.assertEqual(node.get(cid, start, end), data[start:end])
            with node.open("GET", f"/v1/files/{cid}", headers={"Range": "bytes=-4"}) as answer:
                self.assertEqual((answer.status, answer.read()), (206, data[-4:]))
                self.assertEqual(answer.headers["Content-Range"], "bytes 5999996-5999999/6000000")
                tag = answer.headers["ETag"]
            with node.open("GET", f"/v1/files/{cid}", headers={"If-None-Match": f'"x", W/{tag}'}) as answer:
                self.assertEqual((answer.status, answer.read()), (304, b""))
            block = node.block(cid)
            with node.open("GET", f"/v1/blocks/{cid}", headers={"Range": "bytes=1-2"}) as answer:
                self.assertEqual((answer.status, answer.read()), (206, block[1:3]))
            with self.assertRaises(Problem) as outside:
                node.get(cid, 6_000_000)
            self.assertEqual((outside.exception.status, outside.exception.code), (416, "range_not_satisfiable"))

    def test_events_are_told_and_go_on(self):
        events = self.tcp.events()
        opened = next(events)
        self.assertEqual(opened["event"], "open")
        module = self.tcp.add(pathlib.Path(os.environ["MESH_MODULE"]).read_bytes())
        job = self.tcp.submit({"module_cid": module, "limits": {"max_fuel": 100_000_000}})
        # Of the jobs before, something may happen still.
        told = next(event for event in events if event["data"].get("id") == job)
        self.assertEqual(told["event"], "job")
        self.tcp.wait(job)
        again = next(event for event in self.tcp.events(opened["id"]) if event["data"].get("id") == job)
        self.assertEqual(again, told)

    def test_failures_say_what_and_why(self):
        with self.assertRaises(Problem) as failure:
            self.socket.job("nonsense")
        self.assertEqual((failure.exception.status, failure.exception.code), (400, "invalid_request"))
        self.assertIn("no CID", str(failure.exception))
        with self.assertRaises(Problem) as failure:
            Node(os.environ["MESH_API"]).status()
        self.assertEqual((failure.exception.status, failure.exception.code), (401, "not_signed_in"))
        reader = Node(os.environ["MESH_API"], (home / "api-token-read").read_text().strip())
        self.assertEqual(reader.status()["did"], self.socket.status()["did"])
        with self.assertRaises(Problem) as failure:
            reader.add(b"no")
        self.assertEqual((failure.exception.status, failure.exception.code), (403, "read_only"))
        json.dumps([self.tcp.peers(), self.tcp.wallet(entries=3)])


if __name__ == "__main__":
    unittest.main()
