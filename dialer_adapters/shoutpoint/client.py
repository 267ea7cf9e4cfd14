"""The SOAP adapter: twelve operations of the WSDL behind `DialerAdapter`. The only import of zeep.

zeep builds and reads the small messages; the two bulky bodies and the call log go through the same
transport as text that `mapping` and `log_pages` write and read. The WSDL is a file of ours: nothing
is ever loaded from the network, and the address in it is ignored for the one in the settings. One
client per process, made after fork (`registry` sees to it)."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

import requests
import zeep
from lxml import etree
from zeep.exceptions import Error as ZeepError
from zeep.transports import Transport
from zeep.wsdl import Document

from dialer_adapters.contract import (
    Audio,
    Cancelled,
    ChainRow,
    ConsentChanged,
    ConsentState,
    CustomerKind,
    FrozenJob,
    InboundTextPage,
    JobStatus,
    LogPage,
    Rejected,
    RemoteMessagePage,
    Retry,
    StoredAudio,
    Submitted,
    TextConsentPage,
    Verified,
)
from dialer_adapters.shoutpoint import log_pages, mapping, replies
from dialer_adapters.shoutpoint.endpoint import check_endpoint
from dialer_adapters.shoutpoint.transport import AUDIO_SECONDS, CALL_SECONDS, Reply, Wire
from dialer_adapters.shoutpoint.wsdl import NAMESPACE, SOAP_ENVELOPE, WSDL_PATH

MOST_AUDIO_BYTES = 5 * 1024 * 1024
MOST_JOBS_A_QUESTION = 100
_SETTINGS = zeep.Settings(
    strict=False,
    forbid_dtd=True,
    forbid_entities=True,
    forbid_external=True,
    xml_huge_tree=False,
)

T = TypeVar("T")

# zeep logs whole envelopes at DEBUG and, with a traceback, every value that it cannot read: phone
# numbers and words either way. What it has to say reaches us as exceptions and missing values.
logging.getLogger("zeep").setLevel(logging.CRITICAL)


class _ZeepTransport(Transport):
    """zeep's door to the network, led through the guarded wire: no other way out is left."""

    def __init__(self, wire: Wire | None) -> None:
        super().__init__(session=requests.Session())
        self.wire = wire

    def post_xml(self, address: str, envelope: etree._Element, headers: dict[str, str]) -> Reply:
        body = envelope.find(f"{{{SOAP_ENVELOPE}}}Body")
        if body is None or len(body) != 1 or self.wire is None:
            raise Rejected("SCHEMA", "Body", local=True)
        mapping.require_valid(body[0])
        operation = etree.QName(body[0]).localname
        seconds = AUDIO_SECONDS if operation in ("UploadAudio", "GetAudio") else CALL_SECONDS
        return self.wire.exchange(operation, etree.tostring(envelope, encoding="utf-8"), seconds)

    def post(self, address: str, message: bytes, headers: dict[str, str]) -> Reply:
        raise Rejected("SCHEMA", "Body", "only validated messages are sent", local=True)

    def get(self, address: str, params: Any, headers: dict[str, str]) -> Any:
        raise Rejected("SCHEMA", "Body", "the contract has no GET", local=True)

    def _load_remote_data(self, url: str) -> bytes:
        raise Rejected("SCHEMA", "WSDL", "nothing is loaded from the network", local=True)


@cache
def _document() -> Any:
    """The parsed WSDL, once per process: it takes 60 ms."""
    transport: Any = _ZeepTransport(None)
    return Document(str(WSDL_PATH), transport, settings=_SETTINGS)


class ShoutpointAdapter:
    """Speaks dialer-v1.wsdl to one end point with one user's credentials (A1-13, A1-15, A1-16).

    Raises CredentialsRefused("ENDPOINT_NOT_ALLOWED") when the address may not be used; nothing is
    sent before the first operation."""

    capabilities = frozenset(
        {"CHAINS", "CURSOR_LOG", "VOICE", "TEXT", "AMD", "REMOTE_DIAL_IN", "INBOUND_TEXT"}
    )
    looks_up = True

    def __init__(
        self,
        endpoint_url: str,
        username: str,
        password: str,
        *,
        allow_loopback: bool = False,
        allowed_hosts: frozenset[str] = frozenset(),
    ) -> None:
        endpoint = check_endpoint(
            endpoint_url, allow_loopback=allow_loopback, allowed_hosts=allowed_hosts
        )
        self._wire = Wire(endpoint, username, password)
        client = zeep.Client(_document(), transport=_ZeepTransport(self._wire), settings=_SETTINGS)
        self._service = client.create_service(f"{{{NAMESPACE}}}DialerSoap11", endpoint.url)

    def close(self) -> None:
        """Closes the kept connection; the next call opens another."""
        self._wire.close()

    # ------------------------------------------------------------------------------ the account

    def verify(self, external_id: str, name: str) -> Verified:
        return self._call(replies.verified, "VerifyCustomer", ExternalID=external_id, Name=name)

    def customer_id(self, kind: CustomerKind, external_id: str, name: str) -> str:
        return self._call(
            replies.customer_id, "GetCustomerID", Kind=kind, ExternalID=external_id, Name=name
        )

    # ------------------------------------------------------------------------------- recordings

    def put_audio(self, data: bytes, content_type: str) -> StoredAudio:
        if len(data) > MOST_AUDIO_BYTES:
            raise Rejected("TOO_LARGE", "Content", f"{len(data)} bytes", local=True)
        digest = hashlib.sha256(data).hexdigest()
        return self._call(
            replies.stored_audio,
            "UploadAudio",
            Sha256=digest,
            ContentType=content_type,
            Content=data,
        )

    def get_audio(self, audio_id: str) -> Audio:
        audio = self._call(replies.audio, "GetAudio", AudioID=audio_id)
        if hashlib.sha256(audio.content).hexdigest() != audio.sha256:
            raise Retry("garbled", detail="the recording is not what its checksum says")
        return audio

    # -------------------------------------------------------------------------------------- jobs

    def submit(
        self, job: FrozenJob, chains: Sequence[ChainRow] = (), total_chains: int | None = None
    ) -> Submitted:
        envelope = mapping.submit_envelope(job, chains, total_chains)
        return mapping.submitted(self._wire.exchange("SubmitJob", envelope).element)

    def add_chains(
        self,
        job_ref: str,
        batch_number: int,
        chains: Sequence[ChainRow] = (),
        total_chains: int | None = None,
    ) -> Submitted:
        envelope = mapping.add_chains_envelope(job_ref, batch_number, chains, total_chains)
        return mapping.submitted(self._wire.exchange("AddChains", envelope).element)

    def cancel(
        self,
        job_ref: str,
        chain_refs: Sequence[str] = (),
        reason: str = "",
        phone_numbers: Sequence[str] = (),
    ) -> Cancelled:
        return self._call(
            replies.cancelled,
            "CancelJob",
            JobRef=job_ref,
            ChainRef=list(chain_refs),
            Reason=reason or None,
            PhoneNumber=list(phone_numbers),
        )

    def job_status(self, job_refs: Sequence[str]) -> list[JobStatus]:
        if not job_refs:
            return []
        if len(job_refs) > MOST_JOBS_A_QUESTION:
            raise Rejected("SCHEMA", "JobRef", "at most 100 jobs a question", local=True)
        return self._call(replies.job_states, "GetJobStatus", JobRef=list(job_refs))

    # --------------------------------------------------------------------------------- the logs

    def read_log(
        self, epoch: str | None, after_seq: int, max_entries: int = 1000, job_ref: str | None = None
    ) -> LogPage:
        envelope = mapping.call_log_envelope(epoch, after_seq, max_entries, job_ref)
        reply = self._wire.exchange("GetCallLog", envelope)
        return log_pages.read_page(reply, epoch, after_seq, job_ref)

    def inbound_texts(
        self, epoch: str | None, after_seq: int, max_entries: int = 1000
    ) -> InboundTextPage:
        return self._call(
            lambda answer: replies.inbound_page(answer, epoch, after_seq),
            "GetInboundTexts",
            Epoch=epoch,
            AfterSeq=after_seq,
            MaxEntries=max_entries,
        )

    def remote_dial_in(
        self, epoch: str | None, after_seq: int, max_entries: int = 1000
    ) -> RemoteMessagePage:
        return self._call(
            lambda answer: replies.remote_page(answer, epoch, after_seq),
            "GetRemoteDialInMessages",
            Epoch=epoch,
            AfterSeq=after_seq,
            MaxEntries=max_entries,
        )

    # ---------------------------------------------------------------------------------- consent

    def text_consents(
        self, after_number: str | None = None, max_entries: int = 1000
    ) -> TextConsentPage:
        return self._call(
            replies.consent_page,
            "GetTextConsents",
            AfterNumber=after_number,
            MaxEntries=max_entries,
        )

    def set_text_consent(
        self, phone_number: str, state: ConsentState, change_ref: str, source: str
    ) -> ConsentChanged:
        return self._call(
            replies.consent_changed,
            "SetTextConsent",
            PhoneNumber=phone_number,
            State=state,
            ChangeRef=change_ref,
            Source=source,
        )

    def _call(self, read: Callable[[Any], T], operation: str, **values: Any) -> T:
        """One small operation through zeep. Texts are cleaned first: zeep answers a control
        character with a bare ValueError from the depths."""
        values = {
            name: mapping.clean(value) if isinstance(value, str) else value
            for name, value in values.items()
            if value is not None and value != []
        }
        try:
            answer = getattr(self._service, operation)(**values)
        except ZeepError as problem:
            raise Retry("garbled", detail=type(problem).__name__) from None
        return read(answer)


class ForgetfulShoutpointAdapter(ShoutpointAdapter):
    """The same words to a service that keeps the contract but for its memory: it takes a repeated
    request as another one and does not know a JobRef again."""

    looks_up = False
