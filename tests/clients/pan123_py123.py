#!/usr/bin/env python3
"""Drives py-123pan-client 0.1.15 (PyPI), unmodified, through the whole life of files.

Usage: pan123_py123.py HOST:PORT      with PAN_CLIENT_ID and PAN_CLIENT_SECRET in the environment

Prints a line per step and leaves with status 1 at the first mismatch.
"""

import hashlib
import os
import signal
import sys
import tempfile
import urllib.request

from py_123pan_client import PanClient
from py_123pan_client.exceptions import PanAPIError

DEADLINE_SECONDS = 300
# The client sends smaller files in one request.
SLICED_LEN = 100 * 1024 * 1024 + 1234


def step(text):
    print("py-123pan-client: " + text, flush=True)


def equal(what, got, want):
    if got != want:
        sys.exit(f"py-123pan-client: {what}: got {str(got)[:200]}, want {str(want)[:200]}")


def refused(what, code, call):
    try:
        got = call()
    except PanAPIError as error:
        equal(what, error.code, code)
        return
    sys.exit(f"py-123pan-client: {what}: got {got}, want code {code}")


def md5_of_link(url):
    digest = hashlib.md5()
    with urllib.request.urlopen(url) as answer:
        while piece := answer.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def make(path, length):
    block, digest = os.urandom(1 << 20), hashlib.md5()
    with open(path, "wb") as file:
        left = length
        while left:
            piece = block[: min(left, len(block))]
            file.write(piece)
            digest.update(piece)
            left -= len(piece)
            block = block[1:] + block[:1]
    return digest.hexdigest()


def names(client, folder):
    return sorted(row.filename for row in client.iter_files(folder, 3) if not row.trashed)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    signal.alarm(DEADLINE_SECONDS)
    base = "http://" + sys.argv[1]
    credentials = os.environ["PAN_CLIENT_ID"], os.environ["PAN_CLIENT_SECRET"]
    client = PanClient(*credentials, base_url=base)
    used = client.get_user_info().space_used
    step("log-in and user info")

    folder = client.mkdir("照片/2024", 0)
    with tempfile.TemporaryDirectory() as home:
        small, large = os.path.join(home, "small"), os.path.join(home, "large")
        small_md5, large_md5 = make(small, 70_001), make(large, SLICED_LEN)
        first = client.upload_file(small, "小.txt", folder, 1)
        second = client.upload_file(small, "小.txt", folder, 1)
        below = client.upload_file(small, "a/b/c.txt", folder, 1)
        step("uploads in one request, one of them below folders")
        finished = []
        sliced = client.upload_file(large, "large.bin", folder, 1, finished.append)
        if len(finished) < 2:
            sys.exit("py-123pan-client: the large file was not sent in slices")
        step(f"upload in {len(finished)} slices")
        again = client._upload_chunked(large, "again.bin", large_md5, SLICED_LEN, folder, 1)
        step("instant upload")
    equal("names", names(client, folder), ["a", "again.bin", "large.bin", "小(1).txt", "小.txt"])
    for file, md5 in [(first, small_md5), (below, small_md5), (sliced, large_md5), (again, large_md5)]:
        equal("etag", client.get_file_detail(file).etag, md5)
        equal("content", md5_of_link(client.get_download_url(file)), md5)
    equal("infos", len(client.get_files_info([first, sliced, 999_999])), 2)
    equal("detail of a folder", client.get_file_detail(folder).is_folder, True)
    step("list, detail, infos, download")

    client.rename_file(first, "renamed.txt")
    refused("a taken name", 5060, lambda: client.rename_file(second, "renamed.txt"))
    client.rename_files({second: "second.txt"})
    other = client.mkdir("other", 0)
    client.move_files([first, sliced], other)
    equal("names", names(client, other), ["large.bin", "renamed.txt"])
    refused("a folder into itself", 1, lambda: client.move_files([other], other))
    step("rename and move")

    found = [row.filename for row in client.list_files(0, search_data="SECOND").file_list]
    equal("search", found, ["second.txt"])
    client.trash_files([first])
    equal("names", names(client, other), ["large.bin"])
    client.recover_files([first])
    equal("names", names(client, other), ["large.bin", "renamed.txt"])
    client.trash_files([first, sliced])
    client.recover_files([first], folder)
    refused("what is not in the trash", 1, lambda: client.delete_files([first]))
    client.delete_files([sliced])
    refused("what is gone", 5066, lambda: client.get_file_detail(sliced))
    step("search, trash, recover, delete")

    root = [row.file_id for row in client.iter_files(0) if not row.trashed]
    client.trash_files(root)
    client.delete_files(root)
    equal("space used", client.get_user_info().space_used, used)
    wrong = PanClient(credentials[0], "0" * 32, base_url=base)
    refused("a wrong secret", 401, wrong.get_user_info)
    step("whole cycle passed")


if __name__ == "__main__":
    main()
