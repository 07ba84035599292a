"""asyncssh against a server: HOST PORT USER KEY FOLDER. Any difference ends it with a traceback."""

import asyncio
import filecmp
import os
import sys

import asyncssh

host, port, user, key, folder = sys.argv[1:]
os.chdir(folder)


async def main():
    options = {"username": user, "client_keys": [key], "known_hosts": None}
    async with asyncssh.connect(host, int(port), **options) as connection:
        async with connection.start_sftp_client() as sftp:
            await exercise(sftp)


async def exercise(sftp):
    assert sftp.version == 3
    os.makedirs("tree/sub/empty")
    for name, size in [("a", 0), ("b", 1), ("sub/c", 3_000_003)]:
        with open(f"tree/{name}", "wb") as file:
            file.write(os.urandom(size))
    await sftp.put("tree", recurse=True, preserve=True)
    await sftp.get("tree", "back", recurse=True, preserve=True)
    for name in ["a", "b", "sub/c"]:
        assert filecmp.cmp(f"tree/{name}", f"back/{name}", shallow=False), name
    assert os.path.isdir("back/sub/empty")

    found = await sftp.glob("tree/*")
    assert sorted(found) == ["tree/a", "tree/b", "tree/sub"], found
    assert await sftp.realpath("tree/../tree/./sub") == "/tree/sub"

    # Copy on the server, hard link, fsync, statvfs, limits.
    assert sftp.supports_remote_copy
    assert sftp.limits.max_read_len == 261120 and sftp.limits.max_write_len == 261120
    await sftp.remote_copy("tree/sub/c", "copy")
    await sftp.get("copy")
    assert filecmp.cmp("copy", "tree/sub/c", shallow=False)
    await sftp.link("copy", "second")
    async with sftp.open("second", "r+b") as file:
        await file.write(b"changed", 0)
        await file.fsync()
        assert (await file.statvfs()).bsize > 0
    async with sftp.open("copy", "rb") as file:
        assert await file.read(7, 0) == b"changed"
    space = await sftp.statvfs("/")
    assert space.blocks >= space.bavail > 0

    # Renames, with and without replacing.
    try:
        await sftp.rename("second", "tree/a")
        raise AssertionError("a rename replaced a file")
    except asyncssh.SFTPFailure:
        pass
    await sftp.posix_rename("second", "tree/a")
    assert not await sftp.exists("second")
    await sftp.symlink("tree/a", "link")
    assert await sftp.readlink("link") == "tree/a"
    assert await sftp.islink("link")

    await sftp.unlink("link")
    await sftp.unlink("copy")
    await sftp.rmtree("tree")
    assert sorted(await sftp.listdir(".")) == [".", ".."]


asyncio.run(main())
