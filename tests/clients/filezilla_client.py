"""FileZilla's SFTP engine against a server: HOST PORT USER KEY FOLDER PASSWORD FZSFTP PPK. PPK is the
key for PuTTY; the account may use 32 MiB, and has no files.

`fzsftp` is the program that FileZilla starts for each connection. This is what FileZilla itself does
with it: commands go to its stdin, events come from its stdout, and the bytes of files pass through
memory that both share. Any difference ends it with a traceback."""

import mmap
import os
import subprocess
import sys

host, port, user, _, folder, password, fzsftp, key = sys.argv[1:]
os.chdir(folder)
BUFFER = 256 * 1024

# Events are '0' + their number (FileZilla's src/putty/fzprintf.h), then this many lines.
REPLY, DONE, ERROR, LISTENTRY, ASK_HOSTKEY, ASK_PASSWORD = b"0", b"1", b"2", b"8", b"9", b"<"
QUOTA_RECV, QUOTA_SEND, IO_OPEN, IO_NEXTBUF, IO_FINALIZE = b"@", b"A", b"K", b"L", b"M"
LINES = {QUOTA_RECV: 0, QUOTA_SEND: 0, b"J": 0, ASK_HOSTKEY: 2, b":": 2, b";": 2, LISTENTRY: 3}


class FileZilla:
    def __init__(self):
        self.memory = os.memfd_create("buffer")
        os.truncate(self.memory, BUFFER)
        self.buffer = mmap.mmap(self.memory, BUFFER)
        self.process = subprocess.Popen(
            [fzsftp, "-v"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PUTTYDIR": folder, "LC_ALL": "C.UTF-8"},
            pass_fds=[self.memory],
        )
        self.errors, self.entries, self.asked = [], [], 0
        assert self.answer()[1].startswith("fzSftp started")

    def send(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def answer(self, source=None, target=None):
        """Serves events until the command is done; returns whether it succeeded, and the reply."""
        while True:
            event = self.process.stdout.read(1)
            if not event:
                return self.process.wait() == 0, ""
            lines = [
                self.process.stdout.readline().decode().rstrip("\r\n")
                for _ in range(LINES.get(event, 1))
            ]
            if event == REPLY:
                return True, lines[0]
            if event == DONE:
                return lines[0] == "1", ""
            if event == ERROR:
                self.errors.append(lines[0])
            elif event == LISTENTRY:
                self.entries.append(lines)
            elif event == ASK_HOSTKEY:
                self.send("y")
            elif event == ASK_PASSWORD:
                self.asked += 1
                assert self.asked == 1, "asked for the password again"
                self.send(password)
            elif event == QUOTA_RECV:
                self.send("-0-")
            elif event == QUOTA_SEND:
                self.send("-1-")
            elif event == IO_OPEN:
                self.send(f"-{self.memory} {BUFFER} {self.open(source, target, int(lines[0]))}")
            elif event == IO_NEXTBUF and source:
                self.buffer.seek(0)
                self.send(f"-0 {self.buffer.write(source.read(BUFFER))}")
            elif event == IO_NEXTBUF:
                target.write(self.buffer[: int(lines[0])])
                self.send(f"-0 {BUFFER}")
            elif event == IO_FINALIZE:
                target.write(self.buffer[: int(lines[0])])
                self.send("-1")

    def open(self, source, target, offset):
        if source:
            source.seek(offset)
            return offset
        return target.tell()

    def command(self, line, source=None, target=None):
        """Runs a command that must succeed; returns its reply."""
        self.errors, self.entries = [], []
        self.send(line)
        went_well, reply = self.answer(source, target)
        assert went_well and not self.errors, (line, self.errors)
        return reply

    def refused(self, line, source=None):
        """Runs a command that must fail; returns the messages that FileZilla shows."""
        self.errors = []
        self.send(line)
        went_well, _ = self.answer(source)
        assert not went_well and self.errors, line
        return "\n".join(self.errors)

    def put(self, local, name, command="put"):
        with open(local, "rb") as source:
            self.command(f'{command} "{local}" "{name}"', source=source)

    def get(self, name, local, command="get"):
        with open(local, "ab" if command == "reget" else "wb") as target:
            self.command(f'{command} "{name}" "{local}"', target=target)

    def quit(self):
        self.send("bye")
        self.answer()  # to the command
        assert self.answer()[0], "it did not end well"

    def list(self, path="."):
        """Returns the long names of a directory by name."""
        self.command(f'ls "{path}"')
        return {name: longname for longname, _, name in self.entries}


def same(left, right):
    with open(left, "rb") as one, open(right, "rb") as two:
        return one.read() == two.read()


def cut(name, to, length):
    with open(name, "rb") as whole, open(to, "wb") as part:
        part.write(whole.read(length))


filezilla = FileZilla()
filezilla.command(f'keyfile "{key}"')
filezilla.command(f'open "{user}@{host}" {port}')
assert filezilla.asked == 0
filezilla.quit()
filezilla = FileZilla()
filezilla.command(f'open "{user}@{host}" {port}')
assert filezilla.asked == 1
assert filezilla.command("pwd") == 'Current directory is: "/"'

with open("file", "wb") as file:
    file.write(os.urandom(9_000_007))
filezilla.put("file", "file")
filezilla.get("file", "back")
assert same("file", "back")
open("empty", "wb").close()
filezilla.put("empty", "empty")

# Resume in both directions.
for length in [1, 16_384, 5_000_001]:
    cut("file", "part", length)
    filezilla.put("part", "file")
    filezilla.put("file", "file", "reput")
    cut("file", "back", length)
    filezilla.get("file", "back", "reget")
    assert same("file", "back"), length

# What does not fit is refused with a message.
with open("big", "wb") as big:
    big.truncate(32 << 20)
with open("big", "rb") as big:
    told = filezilla.refused('put "big" "big"', source=big)
assert "Quota exceeded" in told and "of 32.0 MiB used" in told, told
filezilla.command('rm "big"')

# Times, permissions, names, folders; the listing is parsed from the long names.
filezilla.command('chmtime 1000000000 "file"')
assert filezilla.command('mtime "file"') == "1000000000"
# It always reports that chmod failed: only an error message is significant.
filezilla.send('chmod 640 "file"')
filezilla.answer()
assert not filezilla.errors, filezilla.errors
filezilla.command('mkdir "a folder"')
assert "mkdir" in filezilla.refused('mkdir "a folder"')
assert filezilla.command('cd "a folder"') == 'New directory is: "/a folder"'
filezilla.command('mv "/file" "/a folder/moved"')
found = filezilla.list()
assert sorted(found) == [".", "..", "moved"], found
assert found["moved"].startswith("-rw-r-----") and "Sep  9  2001" in found["moved"], found
filezilla.command("cd /")
assert "File already exists" in filezilla.refused('mv "empty" "/a folder/moved"')
filezilla.command('rm "/a folder/moved"')
filezilla.command('rmdir "/a folder"')

# More names than the replies to its four READDIRs in flight contain.
filezilla.command("mkdir many")
for number in range(1200):
    filezilla.put("empty", f"many-{number:04}-{'n' * 150}")
found = filezilla.list()
assert len([name for name in found if name.startswith("many-")]) == 1200, len(found)
filezilla.quit()
