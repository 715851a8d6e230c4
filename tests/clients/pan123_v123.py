#!/usr/bin/env python3
"""Drives v123pan 1.1.0 (PyPI), which knows the older upload. Its table of URLs is changed at run time.

Usage: pan123_v123.py HOST:PORT      with PAN_CLIENT_ID and PAN_CLIENT_SECRET in the environment

Prints a line per step and leaves with status 1 at the first mismatch. It fetches a new token before
each call, and its MD5 of more than a mebibyte is wrong.
"""

import asyncio
import dataclasses
import logging
import os
import signal
import sys
import urllib.request

from v123pan import V123Pan
from v123pan.api import Download
from v123pan.api.combine.upload import FileUploader
from v123pan.const import API_PATHS, BASE_URL
from v123pan.exceptions import APIError, FileUploadError

DEADLINE_SECONDS = 180


def step(text):
    print("v123pan: " + text, flush=True)


def equal(what, got, want):
    if got != want:
        sys.exit(f"v123pan: {what}: got {str(got)[:200]}, want {str(want)[:200]}")


async def cycle():
    client = V123Pan(os.environ["PAN_CLIENT_ID"], os.environ["PAN_CLIENT_SECRET"])
    client.regist_logger(logging.getLogger("quiet"))
    user = await client.info()
    equal("space used", user["data"]["spaceUsed"], 0)
    folder = (await client.directory("照片", 0))["data"]["dirID"]
    step("log-in, user info, folder")

    content = os.urandom(700_001)
    uploader = FileUploader(client)
    done = await uploader.upload(content, "small.bin", folder)
    file = done["data"]["fileID"]
    again = await uploader.upload(content, "again.bin", folder)
    equal("instant upload", again["data"]["reuse"], True)
    try:
        await uploader.upload(os.urandom(3_000_000), "wrong.bin", folder)
    except (APIError, FileUploadError) as error:
        # It asks three times, and after the first answer the upload is gone.
        equal("a wrong digest", "20101" in str(error) or "no such upload" in str(error), True)
    else:
        sys.exit("v123pan: a wrong digest was accepted")
    await uploader.close()
    step("upload by URLs, instant upload, a wrong digest")

    rows = (await client.list(folder, 100))["data"]["fileList"]
    equal("names", sorted(row["filename"] for row in rows), ["again.bin", "small.bin"])
    # Its name is also that of the call for the account, which hides it.
    url = (await Download.info(client, file))["data"]["downloadUrl"]
    with urllib.request.urlopen(url) as answer:
        equal("content", answer.read() == content, True)
    step("list and download")
    await client.close()


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    signal.alarm(DEADLINE_SECONDS)
    base = f"http://{sys.argv[1]}/"
    for field in dataclasses.fields(API_PATHS):
        api = getattr(API_PATHS, field.name)
        api.url = api.url.replace(BASE_URL + "/", base)
    asyncio.run(cycle())
    step("whole cycle passed")


if __name__ == "__main__":
    main()
