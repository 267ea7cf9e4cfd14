"""The faults of the contract (7.3) as exceptions: each becomes exactly one typed detail element."""

from __future__ import annotations

from xml.sax.saxutils import escape

from dialer_adapters.shoutpoint.wsdl import NAMESPACE


class Fault(Exception):
    """A request that is refused. `code` is the contract's word, `message` a sentence without
    numbers of phones or secrets. Subclasses add the elements that their type has besides."""

    element = ""
    faultcode = "soap:Client"

    def __init__(self, code: str, message: str, **more: str | int | None) -> None:
        super().__init__(f"{self.element} {code}: {message}")
        self.code = code
        self.message = message
        self.more = more

    def to_xml(self) -> str:
        """The soap:Fault element."""
        more = "".join(
            f"<{name}>{escape(str(value))}</{name}>"
            for name, value in self.more.items()
            if value is not None
        )
        return (
            f"<soap:Fault><faultcode>{self.faultcode}</faultcode>"
            f"<faultstring>{escape(self.message)}</faultstring>"
            f'<detail><{self.element} xmlns="{NAMESPACE}"><Code>{self.code}</Code>'
            f"<Message>{escape(self.message)}</Message>{more}</{self.element}></detail></soap:Fault>"
        )


class AuthenticationFault(Fault):
    """BAD_CREDENTIALS or ACCOUNT_DISABLED."""

    element = "AuthenticationFault"


class InvalidRequestFault(Fault):
    """The request breaks a rule; `Field` says where."""

    element = "InvalidRequestFault"

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(code, message, Field=field)


class ConflictFault(Fault):
    """Another request has used this key, or the job takes no more."""

    element = "ConflictFault"

    def __init__(self, code: str, message: str, job_id: str | None = None) -> None:
        super().__init__(code, message, JobID=job_id)


class NotFoundFault(Fault):
    """JOB or AUDIO."""

    element = "NotFoundFault"


class CursorFault(Fault):
    """The log cannot be read on from this cursor."""

    element = "CursorFault"

    def __init__(self, code: str, message: str, epoch: str, oldest_seq: int) -> None:
        super().__init__(code, message, CurrentEpoch=epoch, OldestSeq=oldest_seq)


class ServerBusyFault(Fault):
    """THROTTLED or MAINTENANCE: the same request later."""

    element = "ServerBusyFault"
    faultcode = "soap:Server"

    def __init__(self, code: str, message: str, retry_after: int) -> None:
        super().__init__(code, message, RetryAfterSeconds=retry_after)
