"""libssh by ssh-python: HOST PORT USER KEY FOLDER PASSWORD. Any difference ends it with a traceback."""

import os
import stat
import sys

from ssh import options
from ssh.exceptions import SFTPError
from ssh.key import import_privkey_file
from ssh.session import Session

host, port, user, key, folder, password = sys.argv[1:]
os.chdir(folder)


def connected():
    session = Session()
    session.options_set(options.HOST, host)
    session.options_set(options.USER, user)
    session.options_set_port(int(port))
    session.connect()
    return session


session = connected()
session.userauth_password(user, password)
session = connected()
session.userauth_publickey(import_privkey_file(key))
sftp = session.sftp_new()
sftp.init()

data = os.urandom(300_001)


def put(path, data, flags, at=0):
    with sftp.open(path, os.O_WRONLY | flags, 0o640) as file:
        file.seek64(at)
        for start in range(0, len(data), 32_768):
            file.write(data[start : start + 32_768])


def get(path):
    with sftp.open(path, os.O_RDONLY, 0) as file:
        return b"".join(piece for _, piece in file)


put("data", data[:100_000], os.O_CREAT | os.O_TRUNC)
put("data", data[100_000:], 0, at=100_000)
assert get("data") == data
assert stat.S_IMODE(sftp.stat("data").permissions) == 0o640
sftp.chmod("data", 0o600)
# The binding passes an uninitialised modification time to libssh.
sftp.utimes("data", 1_000_000_000, 0)
found = sftp.stat("data")
assert (stat.S_IMODE(found.permissions), found.atime, found.size) == (0o600, 1_000_000_000, 300_001)

# Its first argument is the target of the link; the server gets the paths in the order of the draft.
sftp.symlink("data", "link")
assert sftp.readlink("link") in ("data", b"data")
assert get("link") == data
sftp.rename("data", "moved")
sftp.mkdir("folder", 0o755)
with sftp.opendir(".") as listing:
    names = sorted(entry.name for entry in listing)
assert names == [b".", b"..", b"folder", b"link", b"moved"], names
assert sftp.statvfs("/").f_bavail > 0
sftp.rmdir("folder")
for name in ["link", "moved"]:
    sftp.unlink(name)
try:
    sftp.stat("moved")
    raise AssertionError("it is still there")
except SFTPError:
    pass
