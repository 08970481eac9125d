#!/usr/bin/env python3
"""Completes a photo through a running `realfill serve`; needs nothing but Python.

python3 examples/client.py --target photo.jpg --mask hole.png --output completed a.jpg b.jpg
"""
import argparse
import json
import mimetypes
import os
import pathlib
import urllib.error
import urllib.request
import uuid


class Server:
    def __init__(self, address, token):
        self.address = address.rstrip("/")
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def open(self, path, data=None, kind=None):
        headers = self.headers | ({"Content-Type": kind} if kind else {})
        try:
            return urllib.request.urlopen(urllib.request.Request(self.address + path, data, headers))
        except urllib.error.HTTPError as error:
            raise SystemExit(json.load(error)["detail"])
        except urllib.error.URLError as error:
            raise SystemExit(f"{self.address} does not answer ({error.reason}); is `realfill serve` running there?")

    def upload(self, files):
        """A scene from (field, path) pairs."""
        boundary = uuid.uuid4().hex
        body = b""
        for field, path in files:
            kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{path.name}"\r\nContent-Type: {kind}\r\n\r\n'
            body += head.encode() + path.read_bytes() + b"\r\n"
        body += f"--{boundary}--\r\n".encode()
        return json.load(self.open("/v1/scenes", body, f"multipart/form-data; boundary={boundary}"))

    def start(self, scene, settings):
        request = {"scene": scene["id"], "settings": settings}
        return json.load(self.open("/v1/jobs", json.dumps(request).encode(), "application/json"))

    def events(self, job):
        """What the job tells, until it ends."""
        for line in self.open(f"/v1/jobs/{job['id']}/events"):
            if line.startswith(b"data: "):
                yield json.loads(line[6:])


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--target", type=pathlib.Path, required=True)
    arguments.add_argument("--mask", type=pathlib.Path, required=True)
    arguments.add_argument("references", type=pathlib.Path, nargs="+")
    arguments.add_argument("--output", type=pathlib.Path, required=True, help="without extension")
    arguments.add_argument("--server", default="http://127.0.0.1:7878")
    arguments.add_argument("--settings", type=json.loads, default={}, help='such as {"candidates": 8}')
    given = arguments.parse_args()
    server = Server(given.server, os.environ.get("REALFILL_TOKEN"))
    files = [("target", given.target), ("mask", given.mask)] + [("reference", path) for path in given.references]
    job = server.start(server.upload(files), given.settings)
    for event in server.events(job):
        if event["event"] in ("stage", "state"):
            print(event.get("stage") or event["state"], event.get("error", ""), flush=True)
    results = json.load(server.open(f"/v1/jobs/{job['id']}/results"))
    path = given.output.with_name(given.output.name + pathlib.Path(results["completed"]).suffix)
    path.write_bytes(server.open(results["completed"]).read())
    print(f"{path}: {round(100 * results['supported_share'])} % of the hole is supported by the references")


if __name__ == "__main__":
    main()
