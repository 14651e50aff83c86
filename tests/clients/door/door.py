"""confluent-kafka at both doors of topics whose contracts ask something: events that came over HTTP are read with
Confluent's deserializers, records of its serializers are taken, and what is refused says why.

One line a scenario: `ok - NAME`, or `not ok - NAME: REASON`.
"""

import json
import os
import sys
import time
import traceback
import urllib.request

from confluent_kafka import Consumer, KafkaError, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

LIMIT_S = 30
RUN = os.urandom(4).hex()
BOOTSTRAP = {"bootstrap.servers": os.environ["BOOTSTRAP"]}
HTTP = f"http://{os.environ['HTTP']}"

registry = SchemaRegistryClient({"url": f"http://{os.environ['REGISTRY']}"})
LATEST = {"auto.register.schemas": False, "use.latest.version": True}
failed = False


def scenario(body):
    global failed
    name = body.__doc__
    began = time.monotonic()
    try:
        body()
        print(f"ok - {name} ({1000 * (time.monotonic() - began):.0f} ms)", flush=True)
    except Exception as reason:  # noqa: BLE001 - whatever it is, the scenario failed
        failed = True
        first = (str(reason) or repr(reason)).splitlines()[0]
        print(f"not ok - {name}: {first}", flush=True)
        traceback.print_exc(file=sys.stderr)


def same(found, expected, what=""):
    assert found == expected, f"{what} {found!r} is not {expected!r}"


def order_class():
    """The message as a program's generated code would have it."""
    file = descriptor_pb2.FileDescriptorProto(name="order.proto", package="door", syntax="proto3")
    file.message_type.add(name="Unused").field.add(name="a", number=1, type=5, label=1)
    order = file.message_type.add(name="Order")
    order.field.add(name="id", number=1, type=9, label=1, json_name="id")
    order.field.add(name="total", number=2, type=3, label=1, json_name="total")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("door.Order"))


Order = order_class()


def headers(topic, number):
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", f"{RUN}-{number}".encode()),
        ("ce_source", b"/door"),
        ("ce_type", f"com.example.{topic}".encode()),
    ]


def sent(topic, media_type, data, number):
    """Sends an event over HTTP and returns where it stands."""
    request = urllib.request.Request(f"{HTTP}/v1/events", data=data, method="POST")
    request.add_header("content-type", media_type)
    for name, value in headers(topic, number):
        request.add_header(name.replace("_", "-"), value.decode())
    with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
        return json.load(answer)


def read(topic, wanted):
    """Returns the messages of these keys."""
    consumer = Consumer(BOOTSTRAP | {"group.id": f"door-{RUN}-{topic}", "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    found = {}
    deadline = time.monotonic() + LIMIT_S
    while len(found) < len(wanted) and time.monotonic() < deadline:
        message = consumer.poll(0.2)
        if message is not None and message.error() is None and message.key() in wanted:
            found[message.key()] = message
    consumer.close()
    same(sorted(found), sorted(wanted), "keys:")
    return found


def value_of(message, deserializer):
    context = SerializationContext(message.topic(), MessageField.VALUE, message.headers())
    return deserializer(message.value(), context)


def produced(topic, messages, **settings):
    """Produces (key, value, headers) and returns what became of each."""
    told = {}

    def tell(error, message):
        told[message.key()] = error

    producer = Producer(BOOTSTRAP | settings)
    for key, value, names in messages:
        producer.produce(topic, key=key, value=value, headers=names, on_delivery=tell)
    same(producer.flush(LIMIT_S), 0, "still queued:")
    return told


def from_http(topic, bodies, deserializer, number):
    keys = set()
    for media_type, data, key in bodies:
        number += 1
        sent(topic, media_type, data, number)
        keys.add(key.encode())
    return [value_of(message, deserializer) for message in read(topic, keys).values()]


def avro_from_http():
    """avro: binary and JSON over HTTP, read by AvroDeserializer"""
    key = [f"{RUN}-b", f"{RUN}-j"]
    text = key[0].encode()
    binary = bytes([2 * len(text)]) + text + b"\x02\x00"
    bodies = [
        ("application/avro", binary, key[0]),
        ("application/json", json.dumps({"id": key[1], "total": 1}).encode(), key[1]),
    ]
    found = from_http("door.avro", bodies, AvroDeserializer(registry), 100)
    found.sort(key=lambda value: value["id"])
    same(found, [{"id": each, "total": 1, "note": None} for each in key])


def protobuf_from_http():
    """protobuf: binary and JSON over HTTP, read by ProtobufDeserializer"""
    key = [f"{RUN}-b", f"{RUN}-j"]
    bodies = [
        ("application/protobuf", Order(id=key[0], total=1).SerializeToString(), key[0]),
        ("application/json", json.dumps({"id": key[1], "total": "1"}).encode(), key[1]),
    ]
    deserializer = ProtobufDeserializer(Order, {"use.deprecated.format": False})
    found = from_http("door.protobuf", bodies, deserializer, 200)
    same(sorted((value.id, value.total) for value in found), [(each, 1) for each in key])


def json_from_http():
    """json: over HTTP, read by JSONDeserializer with the registry's schema"""
    key = f"{RUN}-j"
    body = {"id": key, "total": 1, "lines": [{"count": 2}]}
    deserializer = JSONDeserializer(None, schema_registry_client=registry)
    bodies = [("application/json", json.dumps(body).encode(), key)]
    same(from_http("door.json", bodies, deserializer, 300), [body])


def serializers():
    """serializers: what AvroSerializer, ProtobufSerializer and JSONSerializer send is taken"""
    for topic, serializer, value in [
        ("door.avro", AvroSerializer(registry, conf=LATEST), {"id": RUN, "total": 1, "note": None}),
        ("door.protobuf", ProtobufSerializer(Order, registry, LATEST | {"use.deprecated.format": False}), Order(id=RUN, total=1)),
        ("door.json", JSONSerializer(None, registry, conf=LATEST), {"id": RUN, "total": 1}),
    ]:
        names = headers(topic, 1)
        context = SerializationContext(topic, MessageField.VALUE, names)
        value = serializer(value, context)
        told = produced(topic, [(RUN.encode(), value, context.headers)])
        same(told, {RUN.encode(): None}, topic)


def refused():
    """refused: INVALID_RECORD, nothing of the batch is stored, and the next is taken"""
    for settings in [{}, {"enable.idempotence": True}]:
        names = [f"{RUN}-{len(settings)}-{n}".encode() for n in range(3)]
        good = [(name, json.dumps({"id": name.decode(), "total": 1}).encode(), []) for name in names]
        bad = (names[1], b'{"id": "other"}', [])
        # One batch: they wait for each other.
        told = produced("door.plain", [good[0], bad, good[2]], **{"linger.ms": 200}, **settings)
        assert all(error is not None for error in told.values()), told
        # The reason stays inside librdkafka: up to 2.15.1 rd_kafka_message_produce_errstr points to memory
        # that was freed before the report is delivered.
        same({error.code() for error in told.values()}, {KafkaError.INVALID_RECORD})
        told = produced("door.plain", [good[0]], **settings)
        same(told, {names[0]: None})
        read("door.plain", {names[0]})


for each in [avro_from_http, protobuf_from_http, json_from_http, serializers, refused]:
    scenario(each)
sys.exit(failed)
