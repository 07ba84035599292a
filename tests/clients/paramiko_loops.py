"""Endless messages on a connection before login: HOST PORT SOURCE KIND. Prints how many were sent before the
server closed it; exits with 1 if it does not."""

import logging
import socket
import sys
import time

import paramiko
from paramiko.common import cMSG_SERVICE_REQUEST, cMSG_USERAUTH_REQUEST

host, port, source, kind = sys.argv[1:]
logging.disable(logging.CRITICAL)
transport = paramiko.Transport(socket.create_connection((host, int(port)), source_address=(source, 0)))
transport.start_client()


def send(code, *words):
    message = paramiko.Message()
    message.add_byte(code)
    for word in words:
        message.add_string(word)
    transport._send_message(message)


def say():
    if kind == "ignore":
        transport.send_ignore(1)
    elif kind == "service":
        send(cMSG_SERVICE_REQUEST, "ssh-userauth")
    elif kind == "rekey":
        transport.renegotiate_keys()
    elif kind == "prompts":
        send(cMSG_USERAUTH_REQUEST, "alice", "ssh-connection", "keyboard-interactive", "", "")
    elif kind == "unknown":
        send(cMSG_USERAUTH_REQUEST, "alice", "ssh-connection", "hostbased-or-so")
    else:
        raise ValueError(kind)


if kind in ("prompts", "unknown"):
    send(cMSG_SERVICE_REQUEST, "ssh-userauth")
count = 0
try:
    while count < 100_000 and transport.is_active():
        say()
        count += 1
        if count % 20 == 0:
            time.sleep(0.005)
except (paramiko.SSHException, OSError, EOFError):
    pass
print(count)
sys.exit(count >= 100_000)
