"""A mail server for tests, which writes every mail to a file.

Argument: a directory with `server.pem` and `server.key`. The server writes `ports` there, with a line
`NAME PORT` for each listener, and `mails/`, one file for each mail: the envelope in the first line, then the mail.
"""

import asyncio
import functools
import itertools
import ssl
import sys
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

home = Path(sys.argv[1])
mails = home / "mails"
mails.mkdir()
numbers = itertools.count()


class Keep:
    def __init__(self, listener):
        self.listener = listener

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 no such user"
        if address.startswith("full@"):
            return "452 the mailbox is full"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        head = f"{self.listener} {envelope.mail_from} {','.join(envelope.rcpt_tos)}\n"
        part = mails / f".{next(numbers)}"
        part.write_bytes(head.encode() + envelope.content)
        part.rename(mails / part.name[1:])
        return "250 kept"


def authenticate(server, session, envelope, mechanism, data):
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (b"me@example.com", b"p:w/d")
    return AuthResult(success=good, handled=False)


async def serve():
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(home / "server.pem", home / "server.key")
    login = {"authenticator": authenticate, "auth_required": True}
    listeners = {
        # aiosmtpd only checks for STARTTLS, and here TLS is below SMTP.
        "tls": (tls, {"auth_require_tls": False, **login}),
        "starttls": (None, {"tls_context": tls, "require_starttls": True, **login}),
        "clear": (None, {}),
    }
    loop, servers = asyncio.get_running_loop(), {}
    for name, (below, options) in listeners.items():
        factory = functools.partial(SMTP, Keep(name), hostname="localhost", **options)
        servers[name] = await loop.create_server(factory, "127.0.0.1", 0, ssl=below)
    part = home / ".ports"
    ports = {name: server.sockets[0].getsockname()[1] for name, server in servers.items()}
    part.write_text("".join(f"{name} {port}\n" for name, port in ports.items()))
    part.rename(home / "ports")
    await asyncio.Event().wait()


asyncio.run(serve())
