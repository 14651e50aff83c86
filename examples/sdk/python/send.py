"""Sends events to tidegate with the CloudEvents SDK: in binary and in structured mode, once more, and a wrong one."""

import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from datetime import datetime, timezone

from cloudevents.core.bindings.http import HTTPMessage, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

EVENTS = os.environ.get("TIDEGATE_URL", "http://127.0.0.1:8080") + "/v1/events"
API_KEY = os.environ.get("TIDEGATE_API_KEY")
TRIES = 8
TIMEOUT_S = 10
LONGEST_WAIT_S = 30


class Refused(Exception):
    def __init__(self, problem: dict):
        super().__init__("{status} {title}: {detail} ({type})".format(**problem))


def order_placed(order: dict) -> CloudEvent:
    """Makes an event. Its id is made once: whoever sends it again sends the same id."""
    attributes = {
        "id": str(uuid.uuid4()),
        "source": "/shop/orders",
        "type": "com.example.order.placed",
        "time": datetime.now(timezone.utc),
        "datacontenttype": "application/json",
    }
    return CloudEvent(attributes, order)


def send(message: HTTPMessage) -> dict:
    headers = dict(message.headers)
    if API_KEY:
        headers["Authorization"] = f"Bearer {API_KEY}"
    request = urllib.request.Request(EVENTS, message.body, headers, method="POST")
    for left in reversed(range(TRIES)):
        seconds = 1
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            problem = json.load(error)
            # Only these two may be sent again. Anything else stays wrong, however often it is sent.
            if error.code not in (429, 503) or left == 0:
                raise Refused(problem) from None
            seconds = min(int(error.headers.get("Retry-After", 1)), LONGEST_WAIT_S)
            print(f"{error.code} {problem['title']}: again in {seconds} s", file=sys.stderr)
        except (OSError, http.client.HTTPException):
            # Without an answer the event may be stored or not. The same id makes it safe to send it again.
            if left == 0:
                raise
            print(f"no answer: again in {seconds} s", file=sys.stderr)
        time.sleep(seconds)
    raise AssertionError("the last try returns or raises")


def show(what: str, receipt: dict) -> None:
    print(f"{what}: {'duplicate' if receipt['duplicate'] else 'accepted'}, receipt {receipt['id']}")


def main() -> None:
    lines = [{"sku": "tea-250", "quantity": 2}]
    total = {"amount": 1580, "currency": "EUR"}

    first = order_placed({"orderId": "o-2001", "customer": "c-17", "lines": lines, "total": total})
    show("binary", send(to_binary_event(first)))
    show("binary again", send(to_binary_event(first)))

    second = order_placed({"orderId": "o-2002", "customer": "c-42", "lines": lines, "total": total})
    show("structured", send(to_structured_event(second)))
    show("structured again", send(to_structured_event(second)))

    without_total = order_placed({"orderId": "o-2003", "customer": "c-42", "lines": lines})
    try:
        show("wrong", send(to_binary_event(without_total)))
    except Refused as refused:
        print(f"wrong: refused, {refused}")


if __name__ == "__main__":
    try:
        main()
    except (Refused, OSError, http.client.HTTPException) as error:
        sys.exit(str(error))
