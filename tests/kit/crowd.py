"""Many followers of one log who come back whenever they are cut off: a program of its own.

``python crowd.py URL PATH STREAMS POLLS`` writes two lines of JSON: ``"there"`` when all follow;
after the end of the log the indices that each got, how often one was told to move, and how often
a long poll had to connect again.
"""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402
import random  # noqa: E402
import sys  # noqa: E402
from typing import Any, BinaryIO  # noqa: E402

import gevent  # noqa: E402
from gevent.event import Event  # noqa: E402
from kit.following import EventStream, connect, raise_descriptor_limit  # noqa: E402

_GIVE_UP_SECONDS = 280.0
_LONGEST_PAUSE_SECONDS = 0.5


class Crowd:
    """The followers.

    Args:
        url: Where the service is.
        path: Address of the log.
        size: How many they are.

    Attributes:
        there: Set when all follow.
        moves: How often one was told to move.
        reconnects: How often a long poll had to connect again.
    """

    def __init__(self, url: str, path: str, size: int) -> None:
        self.there = Event()
        self.moves = 0
        self.reconnects = 0
        self._url = url
        self._path = path
        self._missing = size

    def stream(self) -> list[int]:
        """Follow over server-sent events; return the indices."""
        got: list[int] = []
        while True:
            pause = random.uniform(0, _LONGEST_PAUSE_SECONDS)
            try:
                cursor = str(got[-1] if got else -1)
                with EventStream(self._url, self._path, Last_Event_ID=cursor) as stream:
                    for name, id_, data in stream:
                        if name == "log":
                            assert id_ == data["index"]
                            self._arrive(got)
                            got.append(id_)
                        elif name == "moved":
                            self.moves += 1
                            pause = stream.retry_seconds
                        elif name == "end":
                            return got
            except OSError:
                pass
            gevent.sleep(pause)

    def poll(self) -> list[int]:
        """Follow by long polling; return the indices."""
        got: list[int] = []
        while True:
            try:
                with connect(self._url) as connection, connection.makefile("rb") as reader:
                    while True:
                        ask = (
                            f"GET {self._path}&from={len(got)} HTTP/1.1\r\nHost: localhost\r\n\r\n"
                        )
                        connection.sendall(ask.encode())
                        page = _answer(reader)
                        self._arrive(got)
                        got += [entry["index"] for entry in page["logs"]]
                        if page["complete"] and len(got) >= page["total_results"]:
                            return got
            except OSError:
                self.reconnects += 1
            gevent.sleep(random.uniform(0, _LONGEST_PAUSE_SECONDS))

    def _arrive(self, got: list[int]) -> None:
        """Count whoever is about to get their first entry."""
        if not got:
            self._missing -= 1
        if not self._missing:
            self.there.set()


def _answer(reader: BinaryIO) -> Any:
    """Read one answer.

    Raises:
        ConnectionError: There is none, or it is an error.
    """
    head = []
    while (line := reader.readline()).strip():
        head.append(line.lower())
    if not head or head[0].split()[1] != b"200":
        raise ConnectionError(head)
    [length] = [int(line.split()[1]) for line in head if line.startswith(b"content-length:")]
    body = reader.read(length)
    if len(body) < length:
        raise ConnectionError("the answer is cut off")
    return json.loads(body)


def main() -> None:
    url, path, streams, polls = *sys.argv[1:3], *map(int, sys.argv[3:])
    raise_descriptor_limit()
    crowd = Crowd(url, path, streams + polls)
    followers = [gevent.spawn(crowd.stream) for _ in range(streams)]
    followers += [gevent.spawn(crowd.poll) for _ in range(polls)]
    with gevent.Timeout(_GIVE_UP_SECONDS):
        crowd.there.wait()
        print(json.dumps("there"), flush=True)  # noqa: T201
        got = [follower.get() for follower in followers]
    print(json.dumps([got, crowd.moves, crowd.reconnects]), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
