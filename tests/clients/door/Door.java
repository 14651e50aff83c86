// Apache Kafka's Java producer at a topic whose contract asks something: what is refused says why, and what follows is taken.
// One line a scenario: `ok - NAME`, or `not ok - NAME: REASON`.

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.InvalidRecordException;
import org.apache.kafka.common.serialization.StringSerializer;

public final class Door {
    private static final String BOOTSTRAP = System.getenv("BOOTSTRAP");
    private static final String TOPIC = "door.plain";
    private static final String GOOD = "{\"id\": \"java\", \"total\": 1}";
    private static final String BAD = "{\"id\": \"java\"}";
    private static final String REASON = "`#/data/total` required";
    private static boolean failed;

    private interface Scenario {
        void run() throws Exception;
    }

    public static void main(String[] arguments) {
        for (var packing : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            scenario("refused: alone, then the next is taken (" + packing + ")", () -> alone(packing));
        }
        scenario("refused: one of a batch names the one to blame", Door::inBatch);
        System.exit(failed ? 1 : 0);
    }

    private static void scenario(String name, Scenario body) {
        var began = System.nanoTime();
        try {
            body.run();
            System.out.printf("ok - %s (%d ms)%n", name, (System.nanoTime() - began) / 1_000_000);
        } catch (Exception | AssertionError reason) {
            failed = true;
            System.out.printf("not ok - %s: %s%n", name, String.valueOf(reason).lines().findFirst().orElse(""));
            reason.printStackTrace();
        }
    }

    private static KafkaProducer<String, String> producer(Map<String, Object> more) {
        var settings = new java.util.HashMap<String, Object>(more);
        settings.put("bootstrap.servers", BOOTSTRAP);
        settings.put("delivery.timeout.ms", 30_000);
        settings.put("request.timeout.ms", 10_000);
        return new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
    }

    private static ProducerRecord<String, String> order(String value) {
        return new ProducerRecord<>(TOPIC, "java", value);
    }

    private static Throwable refusal(Future<RecordMetadata> sent) throws Exception {
        try {
            sent.get(30, TimeUnit.SECONDS);
        } catch (ExecutionException refused) {
            System.err.println("  " + refused.getCause());
            return refused.getCause();
        }
        throw new AssertionError("it was taken");
    }

    private static void hold(boolean holds, Object what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    private static void alone(String packing) throws Exception {
        try (var producer = producer(Map.of("compression.type", packing))) {
            var before = producer.send(order(GOOD)).get(30, TimeUnit.SECONDS).offset();
            var refused = refusal(producer.send(order(BAD)));
            hold(refused instanceof InvalidRecordException, refused);
            hold(refused.getMessage().contains(REASON), refused.getMessage());
            // The producer is idempotent: what it was refused leaves no gap.
            var after = producer.send(order(GOOD)).get(30, TimeUnit.SECONDS).offset();
            hold(after == before + 1, after + " follows " + before);
        }
    }

    private static void inBatch() throws Exception {
        try (var producer = producer(Map.of("linger.ms", 500))) {
            var sent = new ArrayList<Future<RecordMetadata>>();
            for (var value : List.of(GOOD, BAD, GOOD)) {
                sent.add(producer.send(order(value)));
            }
            producer.flush();
            var first = refusal(sent.get(0));
            var second = refusal(sent.get(1));
            refusal(sent.get(2));
            hold(second instanceof InvalidRecordException, second);
            hold(second.getMessage().contains(REASON), second.getMessage());
            hold(!(first instanceof InvalidRecordException), first);
            producer.send(order(GOOD)).get(30, TimeUnit.SECONDS);
        }
    }
}
