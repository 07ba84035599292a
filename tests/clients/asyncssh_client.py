"""asyncssh against a server: HOST PORT USER KEY FOLDER PASSWORD. The account may use 64 MiB, and has
no files. Any difference ends it with a traceback."""

import asyncio
import filecmp
import hashlib
import os
import stat
import sys

import asyncssh

host, port, user, key, folder, password = sys.argv[1:]
os.chdir(folder)


def connect(**options):
    return asyncssh.connect(host, int(port), username=user, known_hosts=None, **options)


async def main():
    # Logins: a wrong password, the right one, prompts, a key.
    try:
        await connect(client_keys=None, password="wrong")
        raise AssertionError("a wrong password was taken")
    except asyncssh.PermissionDenied:
        pass
    for methods in ["password", "keyboard-interactive"]:
        options = {"client_keys": None, "password": password, "preferred_auth": methods}
        async with connect(**options) as connection:
            assert (await connection.run("quota")).exit_status == 0
    async with connect(client_keys=[key]) as connection:
        async with connection.start_sftp_client() as sftp:
            await exercise(sftp)
            await resume_and_attributes(sftp, connection)


async def refused(words, call):
    try:
        await call
        raise AssertionError(f"not refused with {words}")
    except asyncssh.SFTPError as error:
        assert words in error.reason, error.reason


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
    await refused("File already exists", sftp.rename("second", "tree/a"))
    await sftp.posix_rename("second", "tree/a")
    assert not await sftp.exists("second")
    await sftp.symlink("tree/a", "link")
    assert await sftp.readlink("link") == "tree/a"
    assert await sftp.islink("link")

    await sftp.unlink("link")
    await sftp.unlink("copy")
    await sftp.rmtree("tree")
    assert sorted(await sftp.listdir(".")) == [".", ".."]


async def resume_and_attributes(sftp, connection):
    data = os.urandom(2_000_003)
    for cut in [0, 1, 1_234_567]:
        async with sftp.open("file", "wb") as file:
            await file.write(data[:cut])
        size = (await sftp.stat("file")).size
        async with sftp.open("file", "r+b") as file:
            await file.write(data[size:], size)
        async with sftp.open("file", "rb") as file:
            assert data[:cut] + await file.read(offset=cut) == data, cut
    async with sftp.open("log", "ab") as file:
        await file.write(b"one")
    async with sftp.open("log", "ab") as file:
        await file.write(b"two")
    assert await sftp.getsize("log") == 6

    # A trailing slash requires a directory: without one nothing is uploaded.
    await refused("Is a directory", sftp.open("incoming/", "wb"))
    await refused("No such file", sftp.rename("log", "incoming/"))

    await sftp.chmod("log", 0o640)
    await sftp.utime("log", (1_000_000_000, 1_000_000_001))
    await sftp.truncate("log", 4)
    await sftp.symlink("log", "link")
    await sftp.utime("link", (5, 6), follow_symlinks=False)
    found = await sftp.stat("link")
    assert stat.S_IMODE(found.permissions) == 0o640 and found.size == 4
    assert found.mtime != 6 and (await sftp.lstat("link")).mtime == 6
    await sftp.chown("log", uid=found.uid, gid=found.gid)
    async for entry in sftp.scandir("."):
        assert entry.longname.split()[-1] == entry.filename, entry
    summed = await connection.run("sha256sum file")
    assert summed.stdout.split()[0] == hashlib.sha256(data).hexdigest()

    # What does not fit is refused with a message.
    await refused("of 64.0 MiB used", sftp.truncate("file", 65 << 20))
    await sftp.remove("link")
    await sftp.remove("log")
    assert await sftp.getsize("file") == len(data)


asyncio.run(main())
