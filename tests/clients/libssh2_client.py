"""libssh2 by ssh2-python: HOST PORT USER KEY FOLDER PASSWORD. The account may use 8 MiB, and has no
files. Any difference ends it with a traceback."""

import hashlib
import os
import socket
import stat
import sys

from ssh2.exceptions import SFTPHandleError, SFTPProtocolError
from ssh2.session import Session
from ssh2.sftp import (
    LIBSSH2_FXF_APPEND,
    LIBSSH2_FXF_CREAT,
    LIBSSH2_FXF_EXCL,
    LIBSSH2_FXF_READ,
    LIBSSH2_FXF_TRUNC,
    LIBSSH2_FXF_WRITE,
    LIBSSH2_SFTP_ATTR_ACMODTIME,
    LIBSSH2_SFTP_ATTR_PERMISSIONS,
    LIBSSH2_SFTP_ATTR_SIZE,
)
from ssh2.sftp_handle import SFTPAttributes

host, port, user, key, folder, password = sys.argv[1:]
os.chdir(folder)
QUOTA = 8 << 20
FX_NO_SUCH_FILE, FX_FAILURE, FX_QUOTA_EXCEEDED = 2, 4, 15
NEW = LIBSSH2_FXF_WRITE | LIBSSH2_FXF_CREAT | LIBSSH2_FXF_TRUNC


def connected():
    session = Session()
    session.handshake(socket.create_connection((host, int(port))))
    return session


# Logins: the offered methods, a wrong password and then the right one, prompts, a key.
session = connected()
assert set(session.userauth_list(user)) == {"publickey", "password", "keyboard-interactive"}
try:
    session.userauth_password(user, "wrong")
    raise AssertionError("a wrong password was taken")
except Exception as error:
    assert type(error).__name__ == "AuthenticationError", error
session.userauth_password(user, password)
session = connected()
session.userauth_keyboardinteractive(user, password)
session = connected()
session.userauth_publickey_fromfile(user, key)
sftp = session.sftp_init()


def put(path, data, flags=NEW, at=None):
    with sftp.open(path, flags, 0o644) as file:
        if at is not None:
            file.seek64(at)
        file.write(data)


def get(path, at=0):
    data = b""
    with sftp.open(path, LIBSSH2_FXF_READ, 0) as file:
        file.seek64(at)
        for length, piece in file:
            data += piece[:length]
    return data


def refused(call, *arguments):
    """Returns the SSH_FX code of a call that must fail."""
    try:
        call(*arguments)
    except (SFTPProtocolError, SFTPHandleError):
        return sftp.last_error()
    raise AssertionError(f"{call} {arguments} was not refused")


data = os.urandom(3_000_001)
put("data", data)
assert get("data") == data

# Resume from any byte, in both directions; append, which sends offsets from 0.
for cut in [0, 1, 30_000, 1_234_567]:
    put("cut", data[:cut])
    size = sftp.stat("cut").filesize
    assert size == cut
    put("cut", data[size:], LIBSSH2_FXF_WRITE, size)
    assert get("cut") == data
    assert data[:cut] + get("cut", cut) == data
put("log", b"one\n")
put("log", b"two\n", LIBSSH2_FXF_WRITE | LIBSSH2_FXF_APPEND)
assert get("log") == b"one\ntwo\n"
assert refused(sftp.open, "log", NEW | LIBSSH2_FXF_EXCL, 0o644) == FX_FAILURE

# Attributes: permissions, times, size, by name and by handle.
change = SFTPAttributes()
change.flags = LIBSSH2_SFTP_ATTR_PERMISSIONS | LIBSSH2_SFTP_ATTR_ACMODTIME
change.permissions, change.atime, change.mtime = 0o640, 1_000_000_000, 1_000_000_001
sftp.setstat("log", change)
found = sftp.stat("log")
assert stat.S_ISREG(found.permissions) and stat.S_IMODE(found.permissions) == 0o640
assert (found.atime, found.mtime) == (1_000_000_000, 1_000_000_001)
shorter = SFTPAttributes()
shorter.flags, shorter.filesize = LIBSSH2_SFTP_ATTR_SIZE, 4
with sftp.open("log", LIBSSH2_FXF_WRITE, 0) as file:
    file.fsetstat(shorter)
    assert file.fstat().filesize == 4
    file.fsync()
assert get("log") == b"one\n"

# The free space is the quota's, by name and by handle.
used = len(data) * 2 + 4
for space in [sftp.statvfs("/"), sftp.open("log", LIBSSH2_FXF_READ, 0).fstatvfs()]:
    assert space.f_blocks * space.f_frsize == QUOTA
    assert 0 <= QUOTA - used - space.f_bavail * space.f_frsize < space.f_frsize

# Names: renames (libssh2 requests an overwrite, which version 3 does not have), links, folders.
sftp.rename("cut", "moved")
assert refused(sftp.rename, "moved", "log") == FX_FAILURE
assert get("log") == b"one\n" and get("moved") == data
sftp.mkdir("folder", 0o755)
assert refused(sftp.mkdir, "folder", 0o755) == FX_FAILURE
# Its first argument is the target of the link.
sftp.symlink("data", "link")
assert sftp.realpath("link") == "/data"
assert stat.S_ISLNK(sftp.lstat("link").permissions)
assert stat.S_ISREG(sftp.stat("link").permissions)
long_name = b"\xff" + b"n" * 254
put(long_name, b"")
with sftp.opendir(".") as listing:
    found = {name: attributes.permissions for _, name, attributes in listing.readdir()}
names = [b".", b"..", b"data", b"folder", b"link", b"log", b"moved", long_name]
assert sorted(found) == names, found
assert stat.S_ISLNK(found[b"link"]) and stat.S_ISDIR(found[b"folder"])
sftp.unlink(long_name)
sftp.rmdir("folder")
assert refused(sftp.stat, "folder") == FX_NO_SUCH_FILE

# What does not fit is refused with a code that libssh2 has a message for; existing data stays.
with sftp.open("big", NEW, 0o644) as file:
    assert refused(file.write, bytes(QUOTA)) == FX_QUOTA_EXCEEDED
sftp.unlink("big")
assert hashlib.sha256(get("data")).digest() == hashlib.sha256(data).digest()
for name in ["data", "link", "log", "moved"]:
    sftp.unlink(name)

# A command on the same connection.
channel = session.open_session()
channel.execute("quota")
_, said = channel.read()
assert b"8.0 MiB" in said, said
channel.close()
assert channel.get_exit_status() == 0
