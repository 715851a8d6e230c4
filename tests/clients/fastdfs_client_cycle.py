#!/usr/bin/env python3
"""Drives fastdfs-client 1.3.0 (PyPI), which understands only 46-byte addresses.

Usage: fastdfs_client_cycle.py HOST:PORT      (a tracker address that answers with 46-byte fields)

Prints a line per step and leaves with status 1 at the first mismatch. Appenders, metadata and
slaves are broken in the client itself (str where bytes are needed), so they are not tried.
"""

import asyncio
import os
import signal
import sys

from fastdfs_client import FastdfsClient
from fastdfs_client.exceptions import FDFSError

DEADLINE_SECONDS = 60


def step(text):
    print("fastdfs-client: " + text, flush=True)


def equal(what, got, want):
    if got != want:
        sys.exit(f"fastdfs-client: {what}: {len(got)} bytes that are not the {len(want)} wanted")


def refused(what, status, call):
    try:
        call()
    except FDFSError as error:
        if str(status) not in str(error):
            sys.exit(f"fastdfs-client: {what}: want status {status}, got {error}")
        return
    sys.exit(f"fastdfs-client: {what}: succeeded, want status {status}")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    signal.alarm(DEADLINE_SECONDS)
    host, port = sys.argv[1].rsplit(":", 1)
    trackers = {"host_tuple": (host,), "port": int(port), "timeout": 10, "name": "Tracker Pool"}
    client = FastdfsClient(trackers)

    content = os.urandom(700_001)
    file_id = client.upload_by_buffer(content, "jpg")["Remote file_id"]
    file_id = file_id.decode() if isinstance(file_id, bytes) else file_id
    step(f"upload: {file_id}")
    equal("download", client.download_to_buffer(file_id)["Content"], content)
    part = client.download_to_buffer(file_id, 1000, 5)["Content"]
    equal("range", part, content[1000:1005])
    step("download and range")

    url = asyncio.run(client.upload(b"hello", "txt"))
    hello = url.split("/", 3)[3]
    equal("asynchronous upload", client.download_to_buffer(hello)["Content"], b"hello")
    asyncio.run(client.delete(hello))
    refused("download after delete", 2, lambda: client.download_to_buffer(hello))
    step("asynchronous upload and delete")

    client.delete_file(file_id)
    refused("second delete", 2, lambda: client.delete_file(file_id))
    step("whole cycle passed")


if __name__ == "__main__":
    main()
