"""paramiko against a server: HOST PORT USER KEY FOLDER PASSWORD. The account may use 2 GiB, and has no
files. Any difference ends it with a traceback."""

import hashlib
import os
import stat
import sys
import time

import paramiko

host, port, user, key, folder, password = sys.argv[1:]
os.chdir(folder)



def connected(kind):
    transport = kind((host, int(port)))
    transport.start_client()
    return transport


# Logins: a wrong password and then the right one on a connection (one transport class requests ssh-userauth
# again, the other does not); a wrong key and then the password; prompts; a key.
for kind in (paramiko.Transport, paramiko.ServiceRequestingTransport):
    transport = connected(kind)
    try:
        transport.auth_password(user, "wrong")
        raise AssertionError("a wrong password was taken")
    except paramiko.AuthenticationException:
        assert transport.auth_password(user, password) == []
    transport.close()
client = paramiko.SSHClient()
client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
wrong_key = paramiko.RSAKey.generate(2048)
client.connect(host, int(port), user, password, pkey=wrong_key, allow_agent=False, look_for_keys=False)
assert client.open_sftp().listdir() == []
client.close()
transport = connected(paramiko.Transport)
assert transport.auth_interactive(user, lambda title, text, prompts: [password]) == []
transport.close()
transport = connected(paramiko.Transport)
transport.auth_publickey(user, paramiko.Ed25519Key.from_private_key_file(key))
sftp = paramiko.SFTPClient.from_transport(transport)


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refused(call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        return error
    raise AssertionError(f"{call} {arguments} was not refused")


with open("data", "wb") as file:
    file.write(os.urandom(5_000_001))

assert sftp.put("data", "data", confirm=True).st_size == 5_000_001
sftp.get("data", "back")
assert sha256("back") == sha256("data")

# Resume in both directions: at an offset, and by appending.
with open("data", "rb") as file, sftp.open("cut", "wb") as remote:
    remote.write(file.read(1_234_567))
size = sftp.stat("cut").st_size
assert size == 1_234_567
with open("data", "rb") as file, sftp.open("cut", "r+b") as remote:
    file.seek(size)
    remote.seek(size)
    remote.set_pipelined(True)
    remote.write(file.read())
sftp.get("cut", "back")
assert sha256("back") == sha256("data")
with sftp.open("log", "a") as remote:
    remote.write("one\n")
with sftp.open("log", "a") as remote:
    remote.write("two\n")
assert sftp.open("log").read() == b"one\ntwo\n"

try:
    sftp.open("log", "x")
    raise AssertionError("an exclusive open took a file that was there")
except OSError as error:
    assert "File already exists" in str(error), error

# The server's hashes.
with sftp.open("data") as remote:
    for algorithm in ["md5", "sha1", "sha256"]:
        with open("data", "rb") as file:
            expected = hashlib.file_digest(file, algorithm).digest()
        assert remote.check(algorithm) == expected, algorithm
    with open("data", "rb") as file:
        blocks = iter(lambda: file.read(100_000), b"")
        expected = b"".join(hashlib.md5(block).digest() for block in blocks)
    assert remote.check("md5", block_size=100_000) == expected

# Attributes.
sftp.chmod("data", 0o640)
sftp.utime("data", (1_000_000_000, 1_000_000_001))
attributes = sftp.stat("data")
assert stat.S_IMODE(attributes.st_mode) == 0o640
sftp.chown("data", attributes.st_uid, attributes.st_gid)
refused(sftp.chown, "data", 4_000_000, attributes.st_gid)
assert (attributes.st_atime, attributes.st_mtime) == (1_000_000_000, 1_000_000_001)
sftp.truncate("cut", 10)
assert sftp.stat("cut").st_size == 10
with sftp.open("cut", "r+b") as remote:
    remote.truncate(4)
    assert remote.stat().st_size == 4

# Names: renames, links, directories, names that are not UTF-8.
sftp.rename("cut", "short")
assert refused(sftp.rename, "short", "data").args == ("File already exists",)
sftp.posix_rename("short", "log")
assert sftp.stat("log").st_size == 4
sftp.symlink("data", "link")
assert sftp.readlink("link") == "data"
assert stat.S_ISLNK(sftp.lstat("link").st_mode) and stat.S_ISREG(sftp.stat("link").st_mode)
assert sftp.normalize(".") == "/" and sftp.normalize("link") == "/data"
sftp.mkdir("folder")
refused(sftp.mkdir, "folder")
sftp.chdir("folder")
assert sftp.getcwd() == "/folder"
strange = b"\xff\xfe not text"
with sftp.open(strange, "wb") as remote:
    remote.write(b"strange")
assert sftp.open(strange).read() == b"strange"
sftp.remove(strange)
sftp.chdir(None)
sftp.rmdir("folder")
# A trailing slash requires a directory: without one nothing is uploaded.
refused(sftp.open, "incoming/", "wb")
refused(sftp.rename, "data", "incoming/")
sftp.mkdir("incoming/")
sftp.rmdir("incoming/")
assert refused(sftp.stat, "folder").errno == 2
names = {entry.filename: entry for entry in sftp.listdir_attr(".")}
assert sorted(names) == ["data", "link", "log"], sorted(names)
assert names["data"].st_size == 5_000_001
assert names["link"].longname.startswith("lrwx") and names["link"].longname.endswith(" link")
assert sorted(entry.filename for entry in sftp.listdir_iter(".")) == sorted(names)

# A download requests the whole file at once: it sends all READs before it reads a reply.
with sftp.open("huge", "wb") as remote:
    remote.truncate(1 << 30)
seen = 0
with sftp.open("huge", "rb") as remote:
    remote.prefetch(1 << 30)
    # It sends them in a thread. If the reader catches up, it forgets the pending requests and
    # sends them again.
    while len(remote._prefetch_extents) < (1 << 30) // remote.MAX_REQUEST_SIZE:
        time.sleep(0.1)
    while block := remote.read(1 << 20):
        assert not block.strip(b"\0")
        seen += len(block)
assert seen == 1 << 30, seen

# What does not fit is refused with a message.
told = refused(sftp.truncate, "huge", 3 << 30)
assert "Quota exceeded" in str(told) and "of 2.0 GiB used" in str(told), told

for name in ["data", "link", "log", "huge"]:
    sftp.remove(name)
assert sftp.listdir(".") == []
transport.close()
