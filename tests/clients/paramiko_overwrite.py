"""paramiko overwrites `f` with the new file: HOST PORT USER KEY FOLDER."""

import os
import stat
import sys

import paramiko

host, port, user, key, folder = sys.argv[1:]
os.chdir(folder)

transport = paramiko.Transport((host, int(port)))
transport.connect(username=user, pkey=paramiko.Ed25519Key.from_private_key_file(key))
sftp = paramiko.SFTPClient.from_transport(transport)

with open("new", "rb") as file:
    new = file.read()

# It stats the path after it has closed the file.
assert sftp.put("new", "f", confirm=True).st_size == len(new)
assert sftp.open("f").read() == new

# Written in pieces; meanwhile the handle and the path are statted.
with sftp.open("f", "w") as remote:
    remote.write(b"begun")
    remote.flush()
    assert remote.stat().st_size == 5
    assert sftp.stat("f").st_size == 5
    sftp.chmod("f", 0o604)
    remote.truncate(0)
    remote.seek(0)
    remote.write(new)
assert sftp.open("f").read() == new
assert stat.S_IMODE(sftp.stat("f").st_mode) == 0o604
assert sftp.listdir(".") == ["f"]
transport.close()
