"""confluent-kafka with its schema registry client and serializers; evolution.py has what changes over time.

One line a scenario: `ok - NAME`, or `not ok - NAME: REASON`.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import evolution
from confluent_kafka.schema_registry import (
    Metadata,
    MetadataProperties,
    Rule,
    RuleKind,
    RuleMode,
    RuleSet,
    Schema,
    SchemaReference,
    header_schema_id_serializer,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
from shared import RUN, USER, USER_2, USER_BROKEN, client, fresh, refused, registry, same, scenario, through_the_log


def registers():
    """registry: register, look up, read back"""
    subject = fresh("users")
    first = registry.register_schema_full_response(subject, Schema(USER, "AVRO"))
    again = client()
    same(again.register_schema(subject, Schema(USER.replace(",", ", "), "AVRO")), first.schema_id)
    same(again.get_schema(first.schema_id).schema_str, USER)
    same(again.get_schema_by_guid(first.guid).schema_str, USER)
    same(again.lookup_schema(subject, Schema(USER, "AVRO")).version, 1)
    second = again.register_schema(subject, Schema(USER_2, "AVRO"))
    assert second > first.schema_id
    same(again.get_versions(subject), [1, 2])
    latest = again.get_latest_version(subject)
    same((latest.version, latest.schema_id, latest.schema.schema_str), (2, second, USER_2))
    assert subject in again.get_subjects()


def refuses():
    """registry: 40403, 40401, 40402, 409, 42201 and 42203 as clients know them"""
    subject = fresh("refused")
    registry.register_schema(subject, Schema(USER, "AVRO"))
    refused(40403, 404, registry.get_schema, 2**31 - 1)
    refused(40403, 404, registry.lookup_schema, subject, Schema(USER_2, "AVRO"))
    refused(40401, 404, registry.lookup_schema, fresh("nobody"), Schema(USER_2, "AVRO"))
    refused(40402, 404, registry.get_version, subject, 7)
    message = refused(409, 409, registry.register_schema, subject, Schema(USER_BROKEN, "AVRO"))
    assert "READER_FIELD_MISSING_DEFAULT_VALUE" in message, message
    refused(42201, 422, registry.register_schema, subject, Schema('{"type":"x"}', "AVRO"))
    refused(42203, 422, registry.set_compatibility, subject, "SIDEWAYS")


def compares():
    """registry: levels and verdicts"""
    subject = fresh("levels")
    registry.register_schema(subject, Schema(USER, "AVRO"))
    broken = Schema(USER_BROKEN, "AVRO")
    same(registry.test_compatibility(subject, broken), False)
    same(registry.test_compatibility(subject, Schema(USER_2, "AVRO")), True)
    same(registry.test_compatibility_all_versions(subject, broken), False)
    registry.set_compatibility(subject, "NONE")
    same(registry.get_compatibility(subject), "NONE")
    same(registry.test_compatibility(subject, broken), True)
    registry.delete_config(subject)
    refused(40408, 404, registry.get_compatibility, subject)


def deletes():
    """registry: soft and hard deletes"""
    subject = fresh("deleted")
    registry.register_schema(subject, Schema(USER, "AVRO"))
    other = client()
    refused(40405, 404, other.delete_subject, subject, permanent=True)
    same(other.delete_version(subject, 1), 1)
    refused(40401, 404, other.get_versions, subject)
    same(other.delete_version(subject, 1, permanent=True), 1)
    refused(40401, 404, other.delete_subject, subject)


def metadata():
    """registry: metadata and rules of a data contract"""
    subject = fresh("contract")
    rule = Rule("r", "", RuleKind.CONDITION, RuleMode.WRITE, "CEL", None, None, "true", None, None, False)
    schema = Schema(
        USER,
        "AVRO",
        [],
        Metadata(None, MetadataProperties({"owner": "shop"}), None),
        RuleSet(None, [rule]),
    )
    registry.register_schema(subject, schema)
    other = client()
    found = other.get_latest_with_metadata(subject, {"owner": "shop"})
    same(found.schema.metadata.properties.properties, {"owner": "shop"})
    same([rule.name for rule in found.schema.rule_set.domain_rules], ["r"])


def avro():
    """avro: register, produce, consume"""
    topic = fresh("avro")
    values = [{"id": n, "name": f"n{n}"} for n in range(100)]
    serializer = AvroSerializer(registry, USER_2)
    read, raw = through_the_log(topic, serializer, AvroDeserializer(registry), values)
    same(read, values)
    schema_id = registry.get_latest_version(f"{topic}-value").schema_id
    same(raw[0].value()[:5], b"\0" + schema_id.to_bytes(4, "big"), "prefix")


def avro_by_header():
    """avro: ids in headers"""
    topic = fresh("header")
    config = {"auto.register.schemas": True, "schema.id.serializer": header_schema_id_serializer}
    serializer = AvroSerializer(registry, USER_2, conf=config)
    # The client wants more than five bytes, wherever the id is.
    values = [{"id": 1, "name": "somebody"}]
    read, raw = through_the_log(topic, serializer, AvroDeserializer(registry), values)
    same(read, values)
    ((name, value),) = raw[0].headers()
    same((name, value[0], len(value)), ("__value_schema_id", 1, 17))


def avro_with_references():
    """avro: references between subjects"""
    topic = fresh("orders")
    users = fresh("referenced")
    registry.register_schema(users, Schema(USER, "AVRO"))
    order = '{"type":"record","name":"Order","fields":[{"name":"user","type":"shop.User"}]}'
    schema = Schema(order, "AVRO", [SchemaReference("shop.User", users, 1)])
    serializer = AvroSerializer(registry, schema)
    read, _ = through_the_log(topic, serializer, AvroDeserializer(registry), [{"user": {"id": 7}}])
    same(read, [{"user": {"id": 7}}])
    message = refused(42206, 422, registry.delete_version, users, 1)
    assert users in message, message


def json_schema():
    """json schema: register, produce, consume"""
    topic = fresh("json")
    schema = """{"$schema": "http://json-schema.org/draft-07/schema#", "title": "User", "type": "object",
      "properties": {"id": {"type": "integer"}}, "required": ["id"]}"""
    serializer = JSONSerializer(schema, registry)
    read, _ = through_the_log(topic, serializer, JSONDeserializer(schema), [{"id": 1}, {"id": 2}])
    same(read, [{"id": 1}, {"id": 2}])


def protobuf():
    """protobuf: register, produce, consume"""
    topic = fresh("protobuf")
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name=f"user_{RUN}.proto", package="shop", syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    message = file.message_type.add(name="User")
    message.field.add(name="id", number=1, type=field.TYPE_INT64, label=field.LABEL_OPTIONAL)
    at = message.field.add(name="at", number=2, type=field.TYPE_MESSAGE, label=field.LABEL_OPTIONAL)
    at.type_name = ".google.protobuf.Timestamp"
    pool = descriptor_pool.Default()
    pool.Add(file)
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.User"))
    serializer = ProtobufSerializer(kind, registry)
    values = [kind(id=5, at=timestamp_pb2.Timestamp(seconds=6))]
    read, _ = through_the_log(topic, serializer, ProtobufDeserializer(kind, {}, registry), values)
    same(read, values)
    # Another client has to ask for the schema, compiled; as it is stored, it is text.
    other = client()
    topic = fresh("protobuf-other")
    read, _ = through_the_log(topic, serializer, ProtobufDeserializer(kind, {}, other), values)
    same(read, values)
    text = client().get_latest_version(f"{topic}-value").schema.schema_str
    assert 'import "google/protobuf/timestamp.proto";' in text, text


def at_once():
    """registry: many callers get one id"""
    subject = fresh("crowd")

    def register(_):
        other = client()
        return other.register_schema(subject, Schema(f'{{"type":"fixed","name":"F{RUN}","size":3}}', "AVRO"))

    with ThreadPoolExecutor(16) as callers:
        same(len(set(callers.map(register, range(32)))), 1, "ids:")
    same(registry.get_versions(subject), [1])


scenarios = [
    registers,
    refuses,
    compares,
    deletes,
    metadata,
    at_once,
    avro,
    avro_by_header,
    avro_with_references,
    json_schema,
    protobuf,
    *evolution.SCENARIOS,
]
held = [scenario(body) for body in scenarios]
sys.exit(0 if all(held) else 1)
