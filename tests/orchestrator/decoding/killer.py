"""A decoder that dies of some pictures: `die` in the data ends it by a signal, `hang` makes it wait for ever."""

from __future__ import annotations

import os
import signal
import sys
import time

from backdrop.contract.pictures import Photo
from orchestrator.decoding import worker
from orchestrator.decoding.decoder import InProcess


class Killer(InProcess):
    """Decodes the other pictures."""

    def photo(self, data: bytes, *, max_pixels: int, field: str) -> Photo:
        if data.endswith(b"die"):
            os.kill(os.getpid(), signal.SIGSEGV)
        if data.endswith(b"hang"):
            time.sleep(3600)
        return super().photo(data, max_pixels=max_pixels, field=field)


if __name__ == "__main__":
    worker.InProcess = Killer  # type: ignore[misc]
    sys.exit(worker.main())
