"""Keeping secrets, such as the passwords of DSNs, out of whatever is shown or stored."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from urllib.parse import unquote, unquote_plus

from .dsn import SECRET_OPTIONS, passwords_among, without_passwords

# A password may hold any character but a space or a quote, so it ends at the last "@" of the word.
_IN_ADDRESS = r"(?i)(\b[a-z][a-z0-9+.-]*://[^\s:/?#@]*:)[^\s'\"]*@"
# As dsn.passwords_among, in a sentence, which goes on after the DSN: the mark at the end of the
# word is the sentence's.
_IN_OPTIONS_OF_A_WORD = (
    rf"(?i)([?&][^=&\s]*(?:{'|'.join(SECRET_OPTIONS)})[^=&\s]*=)"
    r"[^&\s'\"]*?(?=[:;,.]?(?:[&\s'\"]|$))"
)

#: What is hidden as a whole word, and what is wherever it stands.
_known: set[str] = set()
_long: set[str] = set()


def passwords(dsn: str) -> set[str]:
    """Return a DSN's passwords, as they are written and as they are meant."""
    address = without_passwords(dsn, "")
    found = [address.partition("://")[2].rpartition("@")[0].partition(":")[2]]
    found += passwords_among(dsn)
    forms = (str, unquote, unquote_plus)
    return {form(password) for password in found for form in forms} - {""}


@cache
def learn(dsn: str) -> None:
    """Have a DSN's passwords hidden in this process even where they stand alone."""
    _known.update(passwords(dsn))


def hide(secret: str) -> None:
    """Have a secret of many characters hidden in this process wherever it stands."""
    _long.add(secret)


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` with `***` for every password of a DSN in it, and for each secret.

    Args:
        secrets: what else to hide, besides what was learnt.
    """
    if "://" in text or "?" in text or "&" in text:
        # re keeps what it has compiled: most processes show nothing of the kind.
        text = re.sub(_IN_ADDRESS, r"\1***@", re.sub(_IN_OPTIONS_OF_A_WORD, r"\1***", text))
    # The longest first, as one may be the beginning of another.
    for secret in sorted(_long, key=len, reverse=True):
        text = text.replace(secret, "***")
    for secret in sorted(_known.union(secrets), key=len, reverse=True):
        # As a whole word: a one-letter password must not turn every sentence into stars.
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", text)
    return text
