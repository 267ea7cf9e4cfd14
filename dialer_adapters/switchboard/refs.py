"""Which ChainRefs a job holds already: they are unique in a job, across its batches (ruling 20).

Kept in memory as hashes, 60 bytes a chain, for jobs that still take chains; made again from the
stored batches when it is not at hand, or when it does not know all of them. A row per ChainRef with
an index would halve the rate at which chains are accepted.
"""

from __future__ import annotations

import threading

from dialer_adapters.switchboard.batches import list_refs, unpack
from dialer_adapters.switchboard.database import query


class RefIndex:
    """The ChainRefs of jobs that are not sealed yet. `find_reused` and `add` are called while the
    job's row is locked; when the commit fails after `add`, the number of batches does not fit and
    all is read anew."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, set[int]]] = {}
        self._lock = threading.Lock()

    def find_reused(self, job_pk: int, batches: int, refs: list[str]) -> str | None:
        """The first of `refs` that one of the job's stored `batches` holds, or None."""
        with self._lock:
            count, known = self._known.get(job_pk, (0, set()))
        if count != batches:
            known = {hash(ref) for stored in stored_refs(job_pk) for ref in stored}
            with self._lock:
                self._known[job_pk] = (batches, known)
        suspects = {ref for ref in refs if hash(ref) in known}
        if not suspects:
            return None
        # Two refs may share a hash: look them up before refusing anything.
        reused = {ref for stored in stored_refs(job_pk) for ref in suspects.intersection(stored)}
        return min(reused, default=None)

    def add(self, job_pk: int, batches: int, refs: list[str]) -> None:
        """The batch that makes it `batches` is about to be committed."""
        with self._lock:
            count, known = self._known.get(job_pk, (0, set()))
            if count == batches - 1:
                known.update(map(hash, refs))
                self._known[job_pk] = (batches, known)

    def forget(self, job_pk: int) -> None:
        """The job takes no more chains."""
        with self._lock:
            self._known.pop(job_pk, None)


def stored_refs(job_pk: int) -> list[list[str]]:
    """The ChainRefs of each stored batch."""
    rows = query("SELECT content FROM switchboard_batch WHERE job_id = %s AND chains > 0", [job_pk])
    return [list_refs(unpack(content)) for (content,) in rows]
