"""Downloads a small file repeatedly: paramiko_small.py PORT USER KEY. Prints how many downloads took more than 35 ms."""

import io
import sys
import time

import paramiko

port, user, key = sys.argv[1:]
client = paramiko.SSHClient()
client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
client.connect("127.0.0.1", int(port), user, key_filename=key, allow_agent=False, look_for_keys=False)
sftp = client.open_sftp()
sftp.putfo(io.BytesIO(b"x" * 4096), "small")
slow = 0
for _ in range(600):
    began = time.monotonic()
    got = io.BytesIO()
    sftp.getfo("small", got)
    assert len(got.getvalue()) == 4096
    slow += time.monotonic() - began > 0.035
client.close()
print(slow)
