"""What sends requests without anything around it: ``python -m bench._bare_load URL VUS SECONDS``.

Bare gevent sockets and httptools, one connection for each virtual user, and no more than what every
client needs: it is what the slave's requests per second of processor time are compared with. Prints
the requests and the seconds of processor time that they took.
"""

from __future__ import annotations

import sys
import time
from urllib.parse import urlsplit

import gevent
from gevent import socket
from httptools import HttpResponseParser


class _Answer:
    def __init__(self) -> None:
        self.complete = False

    def on_message_complete(self) -> None:
        self.complete = True


def main() -> None:
    url, vus, seconds = urlsplit(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    address = (url.hostname, url.port)
    request = f"GET {url.path or '/'} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n".encode()
    done = 0

    def ask() -> None:
        nonlocal done
        answer = _Answer()
        parser = HttpResponseParser(answer)
        with socket.create_connection(address) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                answer.complete = False
                connection.sendall(request)
                while not answer.complete:
                    parser.feed_data(connection.recv(65536))
                done += 1

    asking = [gevent.spawn(ask) for _ in range(vus)]
    gevent.sleep(0.5)
    begun, used = done, time.process_time()
    gevent.sleep(seconds)
    print(done - begun, time.process_time() - used)
    gevent.killall(asking)


if __name__ == "__main__":
    main()
