"""asyncssh's scp against a server: HOST PORT USER KEY FOLDER. Any difference ends it with a traceback."""

import asyncio
import os
import sys

import asyncssh

host, port, user, key, folder = sys.argv[1:]
os.chdir(folder)


async def main():
    options = {"username": user, "client_keys": [key], "known_hosts": None}
    async with asyncssh.connect(host, int(port), **options) as there:
        await asyncssh.scp("tree", (there, "there"), recurse=True, preserve=True)
        await asyncssh.scp((there, "there"), "back", recurse=True, preserve=True)

        for source, target, words in [
            ((there, "missing"), "x", "missing: No such file or directory"),
            ("big", (there, "."), "Quota exceeded"),
        ]:
            try:
                await asyncssh.scp(source, target)
                raise AssertionError(f"{source} was copied")
            except asyncssh.SFTPError as error:
                assert words in error.reason, error


asyncio.run(main())
