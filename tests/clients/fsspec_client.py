"""fsspec's file systems on paramiko (SFTPFileSystem) and on asyncssh (sshfs): HOST PORT USER KEY FOLDER PASSWORD."""

import os
import sys

from fsspec.implementations.sftp import SFTPFileSystem
from sshfs import SSHFileSystem

host, port, user, key, folder, _ = sys.argv[1:7]
port = int(port)

for fs in [
    SFTPFileSystem(host, port=port, username=user, key_filename=key),
    SSHFileSystem(host, port=port, username=user, client_keys=[key], known_hosts=None),
]:
    data = os.urandom(1_500_001)
    local, back = os.path.join(folder, "local"), os.path.join(folder, "back")
    with open(local, "wb") as file:
        file.write(data)
    fs.makedirs("/d/a/b", exist_ok=True)
    fs.put(local, "/d/a/file")
    fs.get("/d/a/file", back)
    with open(back, "rb") as file:
        assert file.read() == data
    with fs.open("/d/a/b/written", "wb") as file:
        file.write(data[:70_000])
        file.write(b"end")
    with fs.open("/d/a/b/written", "rb") as file:
        file.seek(69_999)
        assert file.read() == data[69_999:70_000] + b"end"
    assert sorted(fs.find("/d")) == ["/d/a/b/written", "/d/a/file"], fs.find("/d")
    assert fs.info("/d/a/file")["size"] == len(data) and not fs.exists("/d/missing")
    fs.mv("/d/a/file", "/d/moved")
    assert fs.exists("/d/moved") and not fs.exists("/d/a/file")
    try:
        with fs.open("/big", "wb") as file:
            for _ in range(90):
                file.write(bytes(100_000))
        raise SystemExit("a quota of 8 MiB took 9")
    except Exception as refused:
        assert "Quota exceeded" in str(refused), refused
    if fs.exists("/big"):
        fs.rm("/big")
    fs.rm("/d", recursive=True)
    assert not fs.exists("/d")

# After a failed write, at a quota or a full disk, sshfs does not end by itself.
os._exit(0)
