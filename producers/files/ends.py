"""Where each document of a file ends, found in a first pass. A bit per row: memory hardly grows with the file."""

from array import array
from collections.abc import Iterable
from hashlib import blake2b

import numpy as np


class DocumentEnds:
    """The rows that are the last of their document. `rows`: the number of the last row that has one."""

    def __init__(self, documents: Iterable[tuple[int, str]]) -> None:
        """Row and document's number of each row, by rising rows. "" is no document.

        Documents are told apart by 64 bits of a hash: two that share one would only be sent later, at the file's end.
        """
        hashes, rows = array("Q"), array("Q")
        before = ""
        for row, document in documents:
            if document == before and document:  # nearly always: a document's lines stand together
                rows[-1] = row
            elif document:
                key = blake2b(document.encode(errors="surrogateescape"), digest_size=8).digest()
                hashes.append(int.from_bytes(key, "little"))
                rows.append(row)
            before = document
        self.rows = rows[-1] if rows else 0
        last = np.zeros(self.rows // 8 + 1, dtype=np.uint8)
        if rows:
            at, keys = np.frombuffer(rows, dtype=np.uint64), np.frombuffer(hashes, dtype=np.uint64)
            order = np.lexsort((at, keys))
            keys = keys[order]
            ends = at[order][np.append(keys[1:] != keys[:-1], True)]
            np.bitwise_or.at(last, ends // 8, (1 << (ends % 8)).astype(np.uint8))
        self._last = last.tobytes()

    def __contains__(self, row: int) -> bool:
        return row <= self.rows and bool(self._last[row >> 3] >> (row & 7) & 1)
