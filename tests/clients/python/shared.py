"""What the scenarios share: names, refusals, a way through the log. One line a scenario: `ok - NAME`, or `not ok - NAME: REASON`."""

import os
import sys
import time
import traceback

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

LIMIT_S = 30
# Fresh names, so that a run does not see what an earlier one left.
RUN = os.urandom(4).hex()
BOOTSTRAP = {"bootstrap.servers": os.environ["BOOTSTRAP"]}
REGISTRY = f"http://{os.environ['REGISTRY']}"

USER = '{"type":"record","name":"User","namespace":"shop","fields":[{"name":"id","type":"long"}]}'
USER_2 = USER.replace("]}", ',{"name":"name","type":"string","default":""}]}')
USER_BROKEN = USER.replace("]}", ',{"name":"name","type":"string"}]}')

registry = SchemaRegistryClient({"url": REGISTRY})


def client():
    """Another client, which knows nothing yet."""
    return SchemaRegistryClient({"url": REGISTRY})


def scenario(body):
    """Runs one scenario, and says whether it held."""
    name = body.__doc__
    began = time.monotonic()
    try:
        body()
        print(f"ok - {name} ({1000 * (time.monotonic() - began):.0f} ms)", flush=True)
        return True
    except Exception as reason:  # noqa: BLE001 - whatever it is, the scenario failed
        first = (str(reason) or repr(reason)).splitlines()[0]
        print(f"not ok - {name}: {first}", flush=True)
        traceback.print_exc(file=sys.stderr)
        return False


def same(found, expected, what=""):
    assert found == expected, f"{what} {found!r} is not {expected!r}"


def refused(code, status, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except SchemaRegistryError as error:
        same((error.error_code, error.http_status_code), (code, status), error.error_message)
        return error.error_message
    raise AssertionError(f"{code} was expected")


def fresh(kind):
    return f"python-{kind}-{RUN}"


def through_the_log(topic, serializer, deserializer, values):
    """Sends values and returns what a consumer reads, with the raw messages."""
    create(topic)
    send(topic, serializer, values)
    return read_back(topic, deserializer, len(values))


def create(topic):
    admin = AdminClient(BOOTSTRAP)
    admin.create_topics([NewTopic(topic, 1)])[topic].result(LIMIT_S)


def send(topic, serializer, values):
    producer = Producer(BOOTSTRAP)
    for value in values:
        context = SerializationContext(topic, MessageField.VALUE, [])
        producer.produce(topic, value=serializer(value, context), headers=context.headers)
    same(producer.flush(LIMIT_S), 0, "still queued:")


def read_back(topic, deserializer, count):
    consumer = Consumer(BOOTSTRAP | {"group.id": topic, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    read, raw = [], []
    deadline = time.monotonic() + LIMIT_S
    while len(read) < count and time.monotonic() < deadline:
        message = consumer.poll(0.2)
        if message is None:
            continue
        assert message.error() is None, message.error()
        context = SerializationContext(topic, MessageField.VALUE, message.headers())
        read.append(deserializer(message.value(), context))
        raw.append(message)
    consumer.close()
    return read, raw
