"""paramiko moves one file: PORT USER KEY put|get FROM TO. New keys at every mebibyte."""

import os
import sys

import paramiko

port, user, key, verb, source, target = sys.argv[1:]
transport = paramiko.Transport(("127.0.0.1", int(port)))
transport.packetizer.REKEY_BYTES = 1 << 20
transport.connect(username=user, pkey=paramiko.Ed25519Key.from_private_key_file(key))
sftp = paramiko.SFTPClient.from_transport(transport)
if verb == "put":
    # Compares the size at the end.
    sftp.put(source, target, confirm=True)
else:
    # It takes the end of the connection for the end of the file.
    size = sftp.stat(source).st_size
    sftp.get(source, target)
    assert os.path.getsize(target) == size, "cut"
transport.close()
