"""A mail server to try things out with: it prints what it gets, and does not know nobody@."""

from aiosmtpd.handlers import Debugging


class Mail(Debugging):
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"
