// Confluent's Java client of the schema registry (7.5.3) as Apache Flink carries it, Flink's coder of the wire format, Avro, and
// Apache Kafka's producer and consumer. One line a scenario: `ok - NAME`, or `not ok - NAME: REASON`.

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.avro.AvroSchema;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.CachedSchemaRegistryClient;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.SchemaRegistryClient;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.rest.entities.Metadata;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.rest.entities.Rule;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.rest.entities.RuleKind;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.rest.entities.RuleMode;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.rest.entities.RuleSet;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.rest.entities.SchemaReference;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.rest.exceptions.RestClientException;
import org.apache.flink.avro.shaded.org.apache.avro.Schema;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericData;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericDatumReader;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericDatumWriter;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericRecord;
import org.apache.flink.avro.shaded.org.apache.avro.io.DecoderFactory;
import org.apache.flink.avro.shaded.org.apache.avro.io.EncoderFactory;
import org.apache.flink.formats.avro.registry.confluent.ConfluentSchemaRegistryCoder;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public final class JavaRegistry {
    private static final String BOOTSTRAP = System.getenv("BOOTSTRAP");
    private static final String REGISTRY = "http://" + System.getenv("REGISTRY");
    private static final Duration LIMIT = Duration.ofSeconds(30);
    /** Fresh names, so that a run does not see what an earlier one left. */
    private static final String RUN = HexFormat.of().toHexDigits(new Random().nextInt());

    private static final String USER =
            "{\"type\":\"record\",\"name\":\"User\",\"namespace\":\"shop\",\"fields\":[{\"name\":\"id\",\"type\":\"long\"}]}";
    private static final String USER_2 = USER.replace("]}", ",{\"name\":\"name\",\"type\":\"string\",\"default\":\"nobody\"}]}");
    private static final String USER_BROKEN = USER.replace("]}", ",{\"name\":\"name\",\"type\":\"string\"}]}");
    private static final String ORDER =
            "{\"type\":\"record\",\"name\":\"Order\",\"namespace\":\"shop\",\"fields\":[{\"name\":\"by\",\"type\":\"User\"}]}";

    private static boolean failed;
    private final SchemaRegistryClient registry = client();

    public static void main(String[] arguments) {
        var client = new JavaRegistry();
        scenario("registry: register, look up, read back", client::registers);
        scenario("registry: 40403, 40401, 40402, 409, 42201 and 42203 by their codes", client::refuses);
        scenario("registry: soft and hard deletes", client::deletes);
        scenario("registry: metadata and rules of a data contract", client::keepsMetadata);
        scenario("registry: one text and one id for what Java and others write", client::writesAsJava);
        scenario("avro: produce, evolve, consume with ids", client::producesAndConsumes);
        scenario("avro: references between subjects", client::refers);
        System.exit(failed ? 1 : 0);
    }

    // --- scenarios --------------------------------------------------------------------------------------------------

    private void registers() throws Exception {
        var subject = subject("users");
        var first = registry.register(subject, new AvroSchema(USER));
        var again = client();
        expect("id of the same schema", first, again.register(subject, new AvroSchema(USER.replace(",", ",\n  "))));
        expect("text of the id", USER, again.getSchemaById(first).canonicalString());
        expect("id looked up", first, again.getId(subject, new AvroSchema(USER)));
        expect("version looked up", 1, again.getVersion(subject, new AvroSchema(USER)));
        var second = again.register(subject, new AvroSchema(USER_2));
        check("a later schema has no later id", second > first);
        expect("versions", List.of(1, 2), again.getAllVersions(subject));
        var latest = again.getLatestSchemaMetadata(subject);
        expect("latest", List.of(2, second, USER_2), List.of(latest.getVersion(), latest.getId(), latest.getSchema()));
        check("not among the subjects", again.getAllSubjects().contains(subject));
        expect("subjects of the id", Set.of(subject), Set.copyOf(again.getAllSubjectsById(second)));
    }

    private void refuses() throws Exception {
        var subject = subject("refused");
        registry.register(subject, new AvroSchema(USER));
        var broken = new AvroSchema(USER_BROKEN);
        refused(40403, 404, () -> registry.getSchemaById(Integer.MAX_VALUE));
        refused(40403, 404, () -> registry.getId(subject, new AvroSchema(USER_2)));
        refused(40401, 404, () -> registry.getId(subject("nobody"), new AvroSchema(USER)));
        refused(40401, 404, () -> registry.getLatestSchemaMetadata(subject("nobody")));
        refused(40402, 404, () -> registry.getSchemaMetadata(subject, 7));
        var reason = refused(409, 409, () -> registry.register(subject, broken));
        check(reason, reason.contains("READER_FIELD_MISSING_DEFAULT_VALUE") && reason.contains("/fields/1"));
        refused(42203, 422, () -> registry.updateCompatibility(subject, "SIDEWAYS"));
        check("called compatible", !registry.testCompatibility(subject, broken));
        var verdict = registry.testCompatibilityVerbose(subject, broken);
        check("no reason: " + verdict, verdict.toString().contains("READER_FIELD_MISSING_DEFAULT_VALUE"));
        check("called incompatible", registry.testCompatibility(subject("nobody"), broken));
        registry.updateCompatibility(subject, "NONE");
        expect("level", "NONE", registry.getCompatibility(subject));
        check("incompatible under NONE", registry.testCompatibility(subject, broken));
    }

    private void deletes() throws Exception {
        var subject = subject("deleted");
        registry.register(subject, new AvroSchema(USER));
        refused(40405, 404, () -> client().deleteSubject(subject, true));
        expect("soft", 1, client().deleteSchemaVersion(subject, "1", false));
        refused(40401, 404, () -> client().getAllVersions(subject));
        expect("versions with deleted ones", List.of(1), client().getAllVersions(subject, true));
        expect("hard", 1, client().deleteSchemaVersion(subject, "1", true));
        refused(40401, 404, () -> client().deleteSubject(subject));
    }

    private void keepsMetadata() throws Exception {
        var subject = subject("contract");
        var metadata = new Metadata(Map.of("shop.User.id", Set.of("PII")), Map.of("owner", "shop"), Set.of("secret"));
        var rule = new Rule("r", "d", RuleKind.CONDITION, RuleMode.WRITE, "CEL", Set.of("PII"), Map.of("a", "b"),
                "message.id > 0", "NONE", "ERROR", false);
        var rules = new RuleSet(List.of(), List.of(rule));
        registry.register(subject, new AvroSchema(USER).copy(metadata, rules));
        var found = client().getLatestWithMetadata(subject, Map.of("owner", "shop"), false);
        expect("metadata", metadata, found.getMetadata());
        expect("rules", List.of(rule), found.getRuleSet().getDomainRules());
    }

    /** What the registry answers is what Java writes, so that a schema gets one id whoever sends it. */
    private void writesAsJava() throws Exception {
        var texts = List.of(
                "\"string\"", "{\"type\": \"string\"}", "[\"null\", {\"type\": \"int\"}]",
                "{\"type\": \"long\", \"logicalType\": \"timestamp-millis\"}",
                "{\"type\":\"array\",\"items\":{\"type\":\"map\",\"values\":{\"type\":\"fixed\",\"size\":3,\"name\":\"a.F\"}}}",
                "{\"name\":\"A\",\"namespace\":\"n\",\"type\":\"record\",\"doc\":\"d \\u00e9\",\"x\":[1,{\"y\":2.50}],\"fields\":["
                + "{\"type\":{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"X\"],\"default\":\"X\"},\"name\":\"e\",\"order\":\"ascending\"},"
                + "{\"name\":\"o\",\"type\":[\"null\",\"n.E\"],\"default\":null,\"aliases\":[\"p\"],\"z\":1},"
                + "{\"name\":\"t\",\"type\":{\"type\":\"double\"},\"default\":1e3,\"order\":\"ignore\"},"
                + "{\"name\":\"s\",\"type\":\"A\",\"doc\":\"\"}],\"aliases\":[\"B\",\"q.C\"]}",
                "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"f\",\"type\":{\"type\":\"record\",\"name\":\"b.S\",\"fields\":[]}},"
                + "{\"name\":\"g\",\"type\":\"b.S\"}]}");
        for (var at = 0; at < texts.size(); at++) {
            var subject = subject("text" + at);
            var ofJava = new AvroSchema(texts.get(at)).canonicalString();
            var stored = new AvroSchema(texts.get(at));
            // Sent as it is written here, not as the client would write it.
            var id = http("POST", "/subjects/" + subject + "/versions", "{\"schema\":" + quoted(texts.get(at)) + "}");
            check(id, id.contains("\"schema\":" + quoted(ofJava)));
            registry.register(subject, stored);
            expect("versions of " + texts.get(at), List.of(1), client().getAllVersions(subject));
        }
    }

    private void producesAndConsumes() throws Exception {
        var topic = "java-registry-" + RUN;
        var subject = topic + "-value";
        try (var admin = Admin.create(Map.of("bootstrap.servers", BOOTSTRAP))) {
            admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1))).all().get();
        }
        var old = new Schema.Parser().parse(USER);
        var evolved = new Schema.Parser().parse(USER_2);
        try (var producer = new KafkaProducer<>(Map.of("bootstrap.servers", BOOTSTRAP), new ByteArraySerializer(), new ByteArraySerializer())) {
            for (var id = 0L; id < 50; id++) {
                var record = new GenericData.Record(id % 2 == 0 ? old : evolved);
                record.put("id", id);
                if (id % 2 == 1) record.put("name", "n" + id);
                producer.send(new ProducerRecord<>(topic, encode(subject, record))).get();
            }
        }
        expect("versions", List.of(1, 2), client().getAllVersions(subject));
        var ids = List.of(registry.getId(subject, new AvroSchema(USER)), registry.getId(subject, new AvroSchema(USER_2)));
        var settings = Map.<String, Object>of("bootstrap.servers", BOOTSTRAP, "group.id", topic, "auto.offset.reset", "earliest");
        var read = new ArrayList<String>();
        // Another client, which has to ask for the schemas.
        var coder = new ConfluentSchemaRegistryCoder(client());
        try (var consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of(topic));
            var deadline = System.nanoTime() + LIMIT.toNanos();
            while (read.size() < 50 && System.nanoTime() < deadline) {
                for (var record : consumer.poll(Duration.ofMillis(100))) {
                    expect("id on the wire", ids.get(read.size() % 2), ByteBuffer.wrap(record.value(), 1, 4).getInt());
                    var in = new ByteArrayInputStream(record.value());
                    var reader = new GenericDatumReader<GenericRecord>(coder.readSchema(in), evolved);
                    read.add(reader.read(null, DecoderFactory.get().directBinaryDecoder(in, null)).toString());
                }
            }
        }
        expect("read", 50, read.size());
        expect("an old one read by the new schema", "{\"id\": 0, \"name\": \"nobody\"}", read.get(0));
        expect("a new one", "{\"id\": 49, \"name\": \"n49\"}", read.get(49));
        // The incompatible one does not get as far as the log.
        var broken = new GenericData.Record(new Schema.Parser().parse(USER.replace("long", "string")));
        broken.put("id", "x");
        try {
            encode(subject, broken);
        } catch (IOException refused) {
            var reason = (RestClientException) refused.getCause();
            expect(reason.getMessage(), 409, reason.getErrorCode());
            check(reason.getMessage(), reason.getMessage().contains("TYPE_MISMATCH"));
            return;
        }
        throw new AssertionError("an incompatible schema was taken");
    }

    private void refers() throws Exception {
        var users = subject("referenced");
        var orders = subject("orders");
        registry.register(users, new AvroSchema(USER));
        var references = List.of(new SchemaReference("shop.User", users, 1));
        var schema = new AvroSchema(ORDER, references, Map.of("shop.User", USER), null);
        var id = registry.register(orders, schema);
        var other = client();
        var found = (AvroSchema) other.getSchemaById(id);
        expect("references", references, found.references());
        expect("the field", "shop.User", found.rawSchema().getField("by").schema().getFullName());
        expect("id looked up", id, other.getId(orders, schema));
        var message = refused(42206, 422, () -> client().deleteSchemaVersion(users, "1", false));
        check(message, message.contains(users));
        refused(42201, 422, () -> client().register(orders, new AvroSchema(ORDER.replace("Order", "Other"),
                List.of(new SchemaReference("shop.User", users, 9)), Map.of("shop.User", USER), null)));
    }

    // --- shared -----------------------------------------------------------------------------------------------------

    private static SchemaRegistryClient client() {
        return new CachedSchemaRegistryClient(REGISTRY, 100);
    }

    private byte[] encode(String subject, GenericRecord record) throws Exception {
        var out = new ByteArrayOutputStream();
        new ConfluentSchemaRegistryCoder(subject, registry).writeSchema(record.getSchema(), out);
        var encoder = EncoderFactory.get().directBinaryEncoder(out, null);
        new GenericDatumWriter<GenericRecord>(record.getSchema()).write(record, encoder);
        encoder.flush();
        return out.toByteArray();
    }

    private static String http(String method, String path, String body) throws Exception {
        var request = HttpRequest.newBuilder(URI.create(REGISTRY + path)).header("content-type", "application/json")
                .method(method, BodyPublishers.ofString(body)).build();
        return HttpClient.newHttpClient().send(request, BodyHandlers.ofString()).body();
    }

    private static String quoted(String text) {
        return "\"" + text.replace("\\", "\\\\").replace("\"", "\\\"") + "\"";
    }

    private static String subject(String kind) {
        return "java-" + kind + "-" + RUN;
    }

    private interface Scenario {
        void run() throws Exception;
    }

    private static void scenario(String name, Scenario scenario) {
        var began = System.nanoTime();
        try {
            scenario.run();
            System.out.printf("ok - %s (%d ms)%n", name, (System.nanoTime() - began) / 1_000_000);
        } catch (Exception | AssertionError reason) {
            failed = true;
            System.out.printf("not ok - %s: %s%n", name, reason.toString().lines().findFirst().orElse(""));
            reason.printStackTrace();
        }
    }

    private static String refused(int code, int status, Scenario call) throws Exception {
        try {
            call.run();
        } catch (RestClientException refusal) {
            expect(refusal.getMessage(), List.of(code, status), List.of(refusal.getErrorCode(), refusal.getStatus()));
            return refusal.getMessage();
        }
        throw new AssertionError(code + " was expected");
    }

    private static void check(String otherwise, boolean holds) {
        if (!holds) throw new AssertionError(otherwise);
    }

    private static void expect(String what, Object expected, Object found) {
        check(what + ": expected " + expected + ", found " + found, expected == null ? found == null : expected.equals(found));
    }
}
