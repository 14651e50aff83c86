// Apache Kafka's Java client with its default settings: a producer with idempotence on, a consumer in a group, an admin.
// One line a scenario: `ok - NAME`, or `not ok - NAME: REASON`.

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.config.TopicConfig;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public final class JavaClient {
    private static final String BOOTSTRAP = System.getenv("BOOTSTRAP");
    private static final Duration LIMIT = Duration.ofSeconds(30);
    /** Fresh names, so that a run does not see what an earlier one left. */
    private static final String RUN = HexFormat.of().toHexDigits(new Random().nextInt());
    private static final int PARTITIONS = 3;
    private static final int RECORDS = 10_000;

    private static boolean failed;

    private final Admin admin = Admin.create(settings());
    /** Offset to value, a map a partition: what the acknowledgements said. */
    private final Map<Integer, TreeMap<Long, String>> acknowledged = new HashMap<>();

    public static void main(String[] arguments) {
        var client = new JavaClient();
        scenario("admin: create, refuse a second, describe topic, cluster and settings", client::topicIsCreated);
        scenario("idempotent producer: 10,000 records, dense offsets in the order sent", client::producesInOrder);
        scenario("consumer group: each record once, in order per partition", client::groupReadsInOrder);
        scenario("consumer group: a second member starts at the committed offsets", client::startsAtCommitted);
        scenario("headers may repeat a key, a key and a value may be null", client::headersAndNulls);
        scenario("gzip, snappy, lz4, zstd", client::compressed);
        scenario("a record of 1 MiB is taken, a larger one is refused", client::largeRecords);
        scenario("offsets by time, and the ends", client::offsetsByTime);
        scenario("an offset out of range is an error, or reset", client::offsetOutOfRange);
        scenario("admin: delete", client::topicIsDeleted);
        client.admin.close(Duration.ofSeconds(1));
        System.exit(failed ? 1 : 0);
    }

    // --- scenarios --------------------------------------------------------------------------------------------------

    private final String topic = topic("main");
    private final String group = "java-" + RUN;

    private void topicIsCreated() throws Exception {
        var result = admin.createTopics(List.of(newTopic(topic).configs(Map.of(TopicConfig.RETENTION_MS_CONFIG, "86400000"))));
        get(result.all());
        expect("partitions told by the answer", PARTITIONS, get(result.numPartitions(topic)));
        fails(TopicExistsException.class, admin.createTopics(List.of(newTopic(topic))).all());

        var description = get(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic);
        expect("partitions", PARTITIONS, description.partitions().size());
        expect("topic id", get(result.topicId(topic)), description.topicId());
        fails(UnknownTopicOrPartitionException.class, admin.describeTopics(List.of("none-" + RUN)).allTopicNames());

        var cluster = admin.describeCluster();
        expect("brokers", 1, get(cluster.nodes()).size());
        check("no cluster id", !get(cluster.clusterId()).isEmpty());
        expect("controller", get(cluster.nodes()).iterator().next().id(), get(cluster.controller()).id());

        var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        var settings = get(admin.describeConfigs(List.of(resource)).all()).get(resource);
        expect("retention.ms", "86400000", settings.get(TopicConfig.RETENTION_MS_CONFIG).value());
        check("retention.ms is told as a default", !settings.get(TopicConfig.RETENTION_MS_CONFIG).isDefault());
        check("cleanup.policy is told as the topic's own", settings.get(TopicConfig.CLEANUP_POLICY_CONFIG).isDefault());
    }

    private void producesInOrder() throws Exception {
        var sent = new ArrayList<Future<RecordMetadata>>();
        try (var producer = producer(Map.of())) {
            for (var i = 0; i < RECORDS; i++) {
                sent.add(producer.send(new ProducerRecord<>(topic, "key-" + i % 997, "value " + i)));
            }
            for (var i = 0; i < RECORDS; i++) {
                var place = get(sent.get(i));
                acknowledged.computeIfAbsent(place.partition(), partition -> new TreeMap<>()).put(place.offset(), "value " + i);
            }
        }
        expect("partitions used", PARTITIONS, acknowledged.size());
        for (var partition : acknowledged.values()) {
            expect("first offset", 0L, partition.firstKey());
            expect("offsets without a gap", partition.size() - 1L, partition.lastKey());
            check("values are not in the order sent", sorted(partition.values()));
        }
        expect("records", RECORDS, acknowledged.values().stream().mapToInt(Map::size).sum());
    }

    private void groupReadsInOrder() {
        try (var consumer = consumer(group, Map.of())) {
            consumer.subscribe(List.of(topic));
            sameAsAcknowledged(read(consumer, RECORDS));
            var none = consumer.poll(Duration.ofMillis(50));
            expect("records after the last", 0, none.count());
        }
    }

    private void startsAtCommitted() {
        var settings = Map.<String, Object>of("enable.auto.commit", false, "max.poll.records", 500);
        var found = new ArrayList<ConsumerRecord<String, String>>();
        var group = this.group + "-restarted";
        var committed = new HashMap<TopicPartition, OffsetAndMetadata>();
        try (var consumer = consumer(group, settings)) {
            consumer.subscribe(List.of(topic));
            found.addAll(read(consumer, RECORDS / 2));
            found.forEach(record -> committed.put(partition(record), new OffsetAndMetadata(record.offset() + 1, "note " + record.offset())));
            consumer.commitSync(committed, LIMIT);
            read(consumer, 100); // read, but not committed: the next member gets them again
        }
        try (var consumer = consumer(group, settings)) {
            expect("committed, with the notes", committed, consumer.committed(committed.keySet(), LIMIT));
            consumer.subscribe(List.of(topic));
            found.addAll(read(consumer, RECORDS - found.size()));
        }
        sameAsAcknowledged(found);
    }

    private void headersAndNulls() throws Exception {
        var topic = created("headers");
        try (var producer = producer(Map.of())) {
            var record = new ProducerRecord<String, String>(topic, 0, null, null);
            record.headers().add("a", bytes("1")).add("b", null).add("a", bytes("2")).add("", bytes(""));
            get(producer.send(record));
            get(producer.send(new ProducerRecord<>(topic, 0, 1234567890123L, "", "")));
        }
        var found = readPartition(topic, 2);
        expect("key", null, found.get(0).key());
        expect("value", null, found.get(0).value());
        expect("headers", "a=1, b=null, a=2, =", String.join(", ", Arrays.stream(found.get(0).headers().toArray()).map(JavaClient::text).toList()));
        expect("empty key", "", found.get(1).key());
        expect("empty value", "", found.get(1).value());
        expect("the sender's timestamp", 1234567890123L, found.get(1).timestamp());
    }

    private void compressed() throws Exception {
        var topic = created("compressed");
        var sent = new ArrayList<String>();
        for (var codec : List.of("gzip", "snappy", "lz4", "zstd")) {
            try (var producer = producer(Map.of("compression.type", codec, "linger.ms", 50))) {
                for (var i = 0; i < 500; i++) {
                    sent.add(codec + " " + i + " and again ".repeat(20));
                    producer.send(new ProducerRecord<>(topic, 0, null, sent.get(sent.size() - 1)));
                }
                producer.flush();
                var ratio = (Double) metric(producer, "compression-rate-avg");
                check("the producer did not compress with " + codec, ratio < 0.5);
            }
        }
        expect("values", sent, readPartition(topic, sent.size()).stream().map(ConsumerRecord::value).toList());
    }

    private void largeRecords() throws Exception {
        var topic = created("large");
        // Beside the value, a batch of one record takes less than 100 bytes.
        var value = new byte[(1 << 20) - 100];
        new Random(7).nextBytes(value);
        var settings = settings();
        settings.put("max.request.size", 4 << 20);
        try (var producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            expect("offset", 0L, get(producer.send(new ProducerRecord<>(topic, 0, null, value))).offset());
            fails(RecordTooLargeException.class, producer.send(new ProducerRecord<>(topic, 0, null, new byte[2 << 20])));
            expect("offset after the refused", 1L, get(producer.send(new ProducerRecord<>(topic, 0, null, bytes("small")))).offset());
        }
        try (var consumer = new KafkaConsumer<>(consumerSettings(Map.of()), new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            var found = read(consumer, 2);
            check("the large value came back changed", Arrays.equals(value, found.get(0).value()));
            expect("the small value", "small", new String(found.get(1).value(), StandardCharsets.UTF_8));
        }
    }

    private void offsetsByTime() throws Exception {
        var topic = created("time");
        var partition = new TopicPartition(topic, 0);
        try (var producer = producer(Map.of())) {
            for (var time = 1000L; time <= 10_000; time += 1000) {
                get(producer.send(new ProducerRecord<>(topic, 0, time, null, "at " + time)));
            }
        }
        try (var consumer = consumer(null, Map.of())) {
            consumer.assign(List.of(partition));
            expect("offset at a record's time", 4L, consumer.offsetsForTimes(Map.of(partition, 5000L), LIMIT).get(partition).offset());
            var between = consumer.offsetsForTimes(Map.of(partition, 5001L), LIMIT).get(partition);
            expect("offset between two times", 5L, between.offset());
            expect("its time", 6000L, between.timestamp());
            expect("offset after the last", null, consumer.offsetsForTimes(Map.of(partition, 10_001L), LIMIT).get(partition));
            expect("beginning", Map.of(partition, 0L), consumer.beginningOffsets(List.of(partition), LIMIT));
            expect("end", Map.of(partition, 10L), consumer.endOffsets(List.of(partition), LIMIT));
            consumer.seek(partition, 7);
            expect("record at an offset sought", "at 8000", read(consumer, 1).get(0).value());
        }
        expect("earliest", 0L, get(admin.listOffsets(Map.of(partition, OffsetSpec.earliest())).partitionResult(partition)).offset());
        expect("latest", 10L, get(admin.listOffsets(Map.of(partition, OffsetSpec.latest())).partitionResult(partition)).offset());
        expect("of the greatest time", 9L, get(admin.listOffsets(Map.of(partition, OffsetSpec.maxTimestamp())).partitionResult(partition)).offset());
    }

    private void offsetOutOfRange() {
        var partition = new TopicPartition(topic, 0);
        try (var consumer = consumer(null, Map.of("auto.offset.reset", "none"))) {
            consumer.assign(List.of(partition));
            consumer.seek(partition, 1_000_000);
            try {
                read(consumer, 1);
                throw new AssertionError("an offset out of range was read");
            } catch (OffsetOutOfRangeException expected) {
                expect("partitions out of range", Set.of(partition), expected.partitions());
            }
        }
        try (var consumer = consumer(null, Map.of("auto.offset.reset", "earliest"))) {
            consumer.assign(List.of(partition));
            consumer.seek(partition, 1_000_000);
            expect("first offset after a reset", 0L, read(consumer, 1).get(0).offset());
        }
    }

    private void topicIsDeleted() throws Exception {
        get(admin.deleteTopics(List.of(topic)).all());
        fails(UnknownTopicOrPartitionException.class, admin.deleteTopics(List.of(topic)).all());
        check("still listed", !get(admin.listTopics().names()).contains(topic));
    }

    // --- clients ----------------------------------------------------------------------------------------------------

    private static Properties settings() {
        var settings = new Properties();
        settings.put("bootstrap.servers", BOOTSTRAP);
        return settings;
    }

    private static Producer<String, String> producer(Map<String, Object> changes) {
        var settings = settings();
        settings.putAll(changes);
        return new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
    }

    private static Properties consumerSettings(Map<String, Object> changes) {
        var settings = settings();
        settings.put("auto.offset.reset", "earliest");
        settings.putAll(changes);
        return settings;
    }

    private static Consumer<String, String> consumer(String group, Map<String, Object> changes) {
        var settings = consumerSettings(changes);
        if (group != null) settings.put("group.id", group);
        return new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
    }

    private static String topic(String purpose) {
        return "java-" + RUN + "-" + purpose;
    }

    private static NewTopic newTopic(String name) {
        return new NewTopic(name, PARTITIONS, (short) 1);
    }

    private String created(String purpose) throws Exception {
        get(admin.createTopics(List.of(newTopic(topic(purpose)))).all());
        return topic(purpose);
    }

    /** Polls until at least `count` records are there. */
    private static <K, V> List<ConsumerRecord<K, V>> read(Consumer<K, V> consumer, int count) {
        var records = new ArrayList<ConsumerRecord<K, V>>();
        var deadline = System.nanoTime() + LIMIT.toNanos();
        while (records.size() < count) {
            check("only " + records.size() + " of " + count + " records in " + LIMIT, System.nanoTime() < deadline);
            consumer.poll(Duration.ofMillis(100)).forEach(records::add);
        }
        return records;
    }

    private static List<ConsumerRecord<String, String>> readPartition(String topic, int count) {
        try (var consumer = consumer(null, Map.of())) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            return read(consumer, count);
        }
    }

    private static TopicPartition partition(ConsumerRecord<?, ?> record) {
        return new TopicPartition(record.topic(), record.partition());
    }

    private static Object metric(Producer<?, ?> producer, String name) {
        return producer.metrics().entrySet().stream()
            .filter(metric -> metric.getKey().name().equals(name) && metric.getKey().group().equals("producer-metrics"))
            .findFirst().orElseThrow().getValue().metricValue();
    }

    /** Waits for an answer, and throws what the broker said. */
    private static <T> T get(Future<T> future) throws Exception {
        try {
            return future.get(LIMIT.toSeconds(), TimeUnit.SECONDS);
        } catch (ExecutionException wrapped) {
            throw wrapped.getCause() instanceof Exception cause ? cause : wrapped;
        }
    }

    // --- checks -----------------------------------------------------------------------------------------------------

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

    /** What was read is what the acknowledgements said: place and value, each once, a partition's in their order. */
    private void sameAsAcknowledged(List<ConsumerRecord<String, String>> records) {
        var found = new HashMap<Integer, TreeMap<Long, String>>();
        for (var record : records) {
            var partition = found.computeIfAbsent(record.partition(), number -> new TreeMap<>());
            check("offset " + record.offset() + " came after a later one", partition.isEmpty() || partition.lastKey() < record.offset());
            partition.put(record.offset(), record.value());
        }
        expect("records read", RECORDS, records.size());
        check("what was read is not what was acknowledged", found.equals(acknowledged));
    }

    private static boolean sorted(Collection<String> values) {
        var numbers = values.stream().map(value -> Integer.valueOf(value.substring("value ".length()))).toList();
        return numbers.equals(numbers.stream().sorted().toList());
    }

    private static void check(String otherwise, boolean holds) {
        if (!holds) throw new AssertionError(otherwise);
    }

    private static void expect(String what, Object expected, Object found) {
        check(what + ": expected " + expected + ", found " + found, expected == null ? found == null : expected.equals(found));
    }

    private static void fails(Class<? extends KafkaException> kind, Future<?> future) throws Exception {
        try {
            get(future);
        } catch (KafkaException reason) {
            check("failed with " + reason + ", not " + kind.getSimpleName(), kind.isInstance(reason));
            return;
        }
        throw new AssertionError("did not fail with " + kind.getSimpleName());
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static String text(Header header) {
        return header.key() + "=" + (header.value() == null ? null : new String(header.value(), StandardCharsets.UTF_8));
    }
}
