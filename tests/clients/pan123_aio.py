#!/usr/bin/env python3
"""Drives aio123pan 0.1.2 (PyPI), unmodified; it sends every file in slices.

Usage: pan123_aio.py HOST:PORT      with PAN_CLIENT_ID and PAN_CLIENT_SECRET in the environment

Prints a line per step and leaves with status 1 at the first mismatch. Its calls for upload domains,
single files and the trash's contents have paths that the platform does not have, so they are not
tried.
"""

import asyncio
import os
import signal
import sys
import tempfile

from aio123pan import Pan123Client
from aio123pan.exceptions import Pan123Error

DEADLINE_SECONDS = 180
# More than two slices of 16 MiB.
LENGTH = 33 * 1024 * 1024 + 77


def step(text):
    print("aio123pan: " + text, flush=True)


def equal(what, got, want):
    if got != want:
        sys.exit(f"aio123pan: {what}: got {str(got)[:200]}, want {str(want)[:200]}")


async def cycle(base):
    async with Pan123Client(
        client_id=os.environ["PAN_CLIENT_ID"],
        client_secret=os.environ["PAN_CLIENT_SECRET"],
        base_url=base,
        enable_token_storage=False,
    ) as client:
        user = await client.user.get_user_info()
        equal("space used", user.space_used, 0)
        folder = await client.folder.create_folder(0, "照片")
        step("log-in, user info, folder")

        content = os.urandom(LENGTH)
        seen = []
        with tempfile.TemporaryDirectory() as home:
            path = os.path.join(home, "large.bin")
            with open(path, "wb") as file:
                file.write(content)
            upload = client.upload.upload_file
            first = await upload(path, folder, progress_callback=lambda now, _: seen.append(now))
            equal("slices", len(seen), 3)
            second = await upload(path, folder, filename="instant.bin")
            equal("slices", len(seen), 3)
            try:
                await upload(path, folder)
            except Pan123Error as error:
                equal("a taken name", error.code, 5060)
            else:
                sys.exit("aio123pan: a taken name was accepted")
            replaced = await upload(path, folder, duplicate=2)
        step("upload in slices, instant upload, conflict")

        rows = [row async for row in client.file.list_all_files(folder, limit=1)]
        equal("names", sorted(row.filename for row in rows), ["instant.bin", "large.bin"])
        equal("size", {row.size for row in rows}, {LENGTH})
        for file in (second, replaced):
            equal("content", await client.file.download_file(file) == content, True)
        equal("replaced", first in {row.file_id for row in rows}, first == replaced)
        step("list and download")

        await client.file.rename_file(second, "renamed.bin")
        await client.file.move_file(second, 0)
        rows = (await client.file.list_files(0)).file_list
        equal("names", sorted(row.filename for row in rows), ["renamed.bin", "照片"])
        await client.file.delete_file([second, folder])
        rows = (await client.file.list_files(0)).file_list
        equal("all in the trash", [row.trashed for row in rows], [True, True])
        step("rename, move, trash")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    signal.alarm(DEADLINE_SECONDS)
    asyncio.run(cycle("http://" + sys.argv[1]))
    step("whole cycle passed")


if __name__ == "__main__":
    main()
