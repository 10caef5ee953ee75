"""A marketing tool that asks for 360° views: a process of its own, so that only the server's time is measured.

`python -m benchmarks.asking URL TOKEN SECONDS RATE PEOPLE` prints the seconds that each view took, as a JSON list.
"""

import http.client
import json
import random
import sys
import time
from urllib.parse import urlsplit


def main(url: str, token: str, seconds: int, rate: int, people: int) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    chance = random.Random(7)
    taken = []
    start = time.perf_counter()
    for n in range(seconds * rate):
        time.sleep(max(0.0, start + n / rate - time.perf_counter()))
        began = time.perf_counter()
        person = f"user-{int(people * chance.random() ** 1.5)}"
        connection.request("GET", f"/v1/profiles/user_id:{person}", headers={"authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        answer.read()
        if answer.status == 200:
            taken.append(time.perf_counter() - began)
    json.dump(taken, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
