"""Schemas that change while records flow, in the three languages, and data contracts that clients execute."""

from confluent_kafka.schema_registry import (
    Metadata,
    MetadataProperties,
    Rule,
    RuleKind,
    RuleMode,
    RuleParams,
    RuleSet,
    Schema,
    SchemaReference,
    header_schema_id_serializer,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.schema_registry.rules.cel.cel_executor import CelExecutor
from confluent_kafka.schema_registry.rules.cel.cel_field_executor import CelFieldExecutor
from confluent_kafka.serialization import MessageField, SerializationContext, SerializationError
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from shared import RUN, USER, USER_2, client, create, fresh, read_back, refused, registry, same, send, through_the_log

CelExecutor.register()
CelFieldExecutor.register()
FIELD = descriptor_pb2.FieldDescriptorProto


def id_on_the_wire(message):
    value = message.value()
    same(value[0], 0, "magic byte")
    return int.from_bytes(value[1:5], "big")


def context(topic):
    return SerializationContext(topic, MessageField.VALUE, [])


def avro():
    """avro: old and new records in one topic, read by the new schema; what breaks it is refused with its reason"""
    topic = fresh("avro-evolution")
    subject = f"{topic}-value"
    create(topic)
    send(topic, AvroSerializer(registry, USER), [{"id": 1}])
    send(topic, AvroSerializer(registry, USER_2), [{"id": 2, "name": "n"}])
    read, raw = read_back(topic, AvroDeserializer(client(), USER_2), 2)
    same(read, [{"id": 1, "name": ""}, {"id": 2, "name": "n"}])
    versions = [registry.get_version(subject, version).schema_id for version in (1, 2)]
    same([id_on_the_wire(message) for message in raw], versions, "ids")
    broken = AvroSerializer(registry, USER.replace('"long"', '"string"'))
    message = refused(409, 409, broken, {"id": "x"}, context(topic))
    assert "TYPE_MISMATCH" in message and "/fields/0/type" in message, message


JSON_USER = """{"$schema": "http://json-schema.org/draft-07/schema#", "$id": "user.json", "title": "User", "type": "object",
  "properties": {"id": {"type": "integer"}}, "required": ["id"], "additionalProperties": false}"""
JSON_ORDER = """{"$schema": "http://json-schema.org/draft-07/schema#", "$id": "order.json", "title": "Order", "type": "object",
  "properties": {"by": {"$ref": "user.json"}, "total": {"type": "integer"}}, "required": ["by"], "additionalProperties": false}"""


def json_schema():
    """json schema: references, a GUID in the header, a new field, and a refusal with its reason"""
    topic = fresh("json-evolution")
    users = fresh("json-users")
    registry.register_schema(users, Schema(JSON_USER, "JSON"))
    order = Schema(JSON_ORDER, "JSON", [SchemaReference("user.json", users, 1)])
    config = {"auto.register.schemas": True, "schema.id.serializer": header_schema_id_serializer}
    values = [{"by": {"id": 1}, "total": 5}]
    serializer = JSONSerializer(order, registry, conf=config)
    read, raw = through_the_log(topic, serializer, JSONDeserializer(None, schema_registry_client=client()), values)
    same(read, values)
    ((name, value),) = raw[0].headers()
    same((name, value[0], len(value)), ("__value_schema_id", 1, 17))
    same(raw[0].value()[:1], b"{", "the value itself")
    try:
        serializer({"by": {"id": "x"}}, context(topic))
        raise AssertionError("data that breaks the referenced schema was sent")
    except SerializationError:
        pass
    references = order.references
    more = JSON_ORDER.replace('"total"', '"note": {"type": "string"}, "total"')
    same(registry.test_compatibility(f"{topic}-value", Schema(more, "JSON", references)), True)
    registry.register_schema(f"{topic}-value", Schema(more, "JSON", references))
    broken = JSON_ORDER.replace('"required": ["by"]', '"required": ["by", "total"]')
    message = refused(409, 409, registry.register_schema, f"{topic}-value", Schema(broken, "JSON", references))
    assert "total" in message and "REQUIRED" in message, message


def message_class(name, message, fields, *imports):
    """Makes a message as protoc would, of (name, number, type) fields; a type by name is a message."""
    file = descriptor_pb2.FileDescriptorProto(name=name, package=f"shop{RUN}", syntax="proto3", dependency=imports)
    declared = file.message_type.add(name=message)
    for field, number, kind in fields:
        is_name = isinstance(kind, str)
        added = declared.field.add(name=field, number=number, label=FIELD.LABEL_OPTIONAL)
        added.type = FIELD.TYPE_MESSAGE if is_name else kind
        if is_name:
            added.type_name = f".shop{RUN}.{kind}"
    return file


def protobuf():
    """protobuf: imports become references, a GUID in the header, a new field, and a refusal with its reason"""
    topic = fresh("protobuf-evolution")
    subject = f"{topic}-value"
    user_name = f"evolution_user_{RUN}.proto"
    user = message_class(user_name, "User", [("id", 1, FIELD.TYPE_INT64)])
    order = message_class(f"order_{RUN}.proto", "Order", [("by", 1, "User"), ("total", 2, FIELD.TYPE_INT32)], user_name)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(user)
    pool.Add(order)

    def of(name):
        return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"shop{RUN}.{name}"))

    kind = of("Order")
    values = [kind(by=of("User")(id=5), total=6)]
    config = {"auto.register.schemas": True, "schema.id.serializer": header_schema_id_serializer}
    serializer = ProtobufSerializer(kind, registry, conf=config)
    read, raw = through_the_log(topic, serializer, ProtobufDeserializer(kind, {}, client()), values)
    same(read, values)
    ((name, value),) = raw[0].headers()
    same((name, value[0]), ("__value_schema_id", 1))
    latest = client().get_latest_version(subject)
    same([reference.name for reference in latest.schema.references], [user_name])
    text, references = latest.schema.schema_str, latest.schema.references
    more = text.replace("total = 2;", "total = 2;\n  string note = 3;")
    assert more != text, text
    registry.register_schema(subject, Schema(more, "PROTOBUF", references))
    same(client().get_versions(subject), [1, 2])
    broken = text.replace("int32 total", "string total")
    message = refused(409, 409, registry.register_schema, subject, Schema(broken, "PROTOBUF", references))
    assert "FIELD_SCALAR_KIND_CHANGED" in message, message
    message = refused(42206, 422, registry.delete_subject, references[0].subject)
    assert references[0].subject in message, message


def contract(rules):
    """A data contract: metadata with an owner, and rules. (This client cannot cache a schema with tags in its metadata.)"""
    metadata = Metadata(None, MetadataProperties({"owner": "shop"}), ["secret"])
    return {"metadata": metadata, "rule_set": RuleSet(None, rules)}


def latest_of(serializer, *arguments):
    """The serializer, told to use what is registered: rules and all."""
    config = {"auto.register.schemas": False, "use.latest.version": True}
    return serializer(*arguments, conf=config)


def condition():
    """data contract: a CEL condition is kept, and keeps a client from writing"""
    topic = fresh("condition")
    rule = Rule("positive", "the id is above zero", RuleKind.CONDITION, RuleMode.WRITE, "CEL", None, None, "message.id > 0", None, None, False)
    schema = Schema(USER, "AVRO", [], **contract([rule]))
    registered = registry.register_schema_full_response(f"{topic}-value", schema)
    same(registered.schema.rule_set.domain_rules[0].expr, "message.id > 0")
    serializer = latest_of(AvroSerializer, client(), USER)
    read, _ = through_the_log(topic, serializer, AvroDeserializer(client()), [{"id": 1}])
    same(read, [{"id": 1}])
    try:
        serializer({"id": -1}, context(topic))
    except SerializationError as error:
        same(str(error.__cause__), "the id is above zero")
        return
    raise AssertionError("a record that breaks its rule was written")


def transform():
    """data contract: a CEL rule of fields works by the tags in a schema"""
    topic = fresh("transform")
    tagged = USER_2.replace('"name":"name"', '"name":"name","confluent:tags":["PII"]')
    expression = "typeName == 'STRING' ; value + '-masked'"
    params = RuleParams({"why": "test"})
    rule = Rule("mask", "", RuleKind.TRANSFORM, RuleMode.WRITE, "CEL_FIELD", ["PII"], params, expression, None, None, False)
    schema = Schema(tagged, "AVRO", [], **contract([rule]))
    registry.register_schema(f"{topic}-value", schema)
    serializer = latest_of(AvroSerializer, client(), tagged)
    read, _ = through_the_log(topic, serializer, AvroDeserializer(client()), [{"id": 1, "name": "n"}])
    same(read, [{"id": 1, "name": "n-masked"}])
    found = client().get_latest_version(f"{topic}-value").schema
    same(found.metadata.sensitive, ["secret"])
    found_rule = found.rule_set.domain_rules[0]
    same((found_rule.tags, found_rule.params.params, found_rule.type), (["PII"], {"why": "test"}, "CEL_FIELD"))
    assert '"confluent:tags":["PII"]' in found.schema_str, found.schema_str


SCENARIOS = [avro, json_schema, protobuf, condition, transform]
