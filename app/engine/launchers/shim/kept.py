"""The files beside the job's own that a command's streams go to; see the package."""

from .captures import Capture
from .places import Bytes, named, place_of, unnamed_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


class KeptFiles:
    """The files of a command's streams, open from before it begins until it has ended.

    Args:
        spec: ``stdout``, ``stderr`` and ``capture``: places, or None; and ``most_output_bytes``,
            for each of the first two. What is captured is a result, and has no limit.

    Attributes:
        stdout: Files to which its output goes.
        stderr: Files to which its errors go; where both have one place, it is one file.

    Raises:
        OSError: One cannot be written; ``strerror`` says which and why.
    """

    def __init__(self, spec: "dict[str, Any]") -> None:
        stdout, stderr, capture = (spec[name] for name in ("stdout", "stderr", "capture"))
        most = spec["most_output_bytes"]
        self.stdout = [_create("stdout", stdout, most)] if stdout else []
        shared = stdout is not None and stdout == stderr
        self.stderr = self.stdout[:] if shared else []
        if stderr and not shared:
            self.stderr.append(_create("stderr", stderr, most))
        self._capture = None
        if capture is None:
            return
        try:
            self._capture = Capture(capture)
        except OSError as exc:
            raise _of("capture", exc) from exc
        if not self.stdout or shared or most is not None:
            self.stdout.append(Bytes(unnamed_file()))
        self._printed = self.stdout[-1]

    def close(self, *, succeeded: bool) -> "str | None":
        """Have all on the disk once nothing can come any more.

        Args:
            succeeded: Whether the command did what it should, so that what it printed is a result.

        Returns:
            Why its result could not be laid where it should be; None if that is not so.
        """
        for file in self._all():
            if file.place is not None:
                file.sync()
        if self._capture is None or not succeeded:
            return None
        if self._printed.lost:
            return f"capture: {self._printed.lost} bytes of output found no place on the disk"
        try:
            self._capture.lay(self._printed.fd)
        except OSError as exc:
            return str(_of("capture", exc).strerror)
        return None

    def losses(self) -> "Iterator[str]":
        """Return what is missing in files that have names, in words."""
        for file in self._all():
            if file.place is None:
                continue
            if file.lost:
                yield f"{file.lost} bytes of output found no place in {file.place.path}"
            if file.beyond:
                yield (
                    f"{file.beyond} bytes of output were not written to {file.place.path}, beyond "
                    f"the limit of {file.most_bytes} bytes"
                )

    def _all(self) -> "list[Bytes]":
        return list(dict.fromkeys((*self.stdout, *self.stderr)))


def _create(field: str, spec: "Any", most_bytes: "int | None") -> "Bytes":
    try:
        place = place_of(spec)
        try:
            return Bytes(place.create(), place, most_bytes)
        except OSError as exc:
            raise named(spec, exc) from exc
    except OSError as exc:
        raise _of(field, exc) from exc


def _of(field: str, exc: OSError) -> OSError:
    return OSError(exc.errno, f"{field}: {exc.strerror}")
