import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.cloudevents.CloudEvent;
import io.cloudevents.core.builder.CloudEventBuilder;
import io.cloudevents.core.message.MessageWriter;
import io.cloudevents.http.HttpMessageFactory;
import io.cloudevents.jackson.JsonCloudEventData;
import io.cloudevents.jackson.JsonFormat;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.util.UUID;
import java.util.function.Consumer;

/** Sends events to tidegate with the CloudEvents SDK: in binary and in structured mode, once more, and a wrong one. */
public final class Send {
    private static final String GATEWAY = System.getenv().getOrDefault("TIDEGATE_URL", "http://127.0.0.1:8080");
    private static final String API_KEY = System.getenv("TIDEGATE_API_KEY");
    private static final int TRIES = 8;
    private static final Duration TIMEOUT = Duration.ofSeconds(10);
    private static final long LONGEST_WAIT_S = 30;

    private static final HttpClient CLIENT = HttpClient.newHttpClient();
    private static final ObjectMapper JSON = new ObjectMapper();

    /** The problem document of an event that was not taken. */
    private static final class Refused extends Exception {
        private static final long serialVersionUID = 1;

        Refused(JsonNode problem) {
            super("%d %s: %s (%s)".formatted(
                    problem.path("status").asInt(),
                    problem.path("title").asText(),
                    problem.path("detail").asText(),
                    problem.path("type").asText()));
        }
    }

    /** Makes an event. Its id is made once: whoever sends it again sends the same id. */
    private static CloudEvent orderPlaced(ObjectNode order) {
        return CloudEventBuilder.v1()
                .withId(UUID.randomUUID().toString())
                .withSource(URI.create("/shop/orders"))
                .withType("com.example.order.placed")
                .withTime(OffsetDateTime.now())
                .withData("application/json", JsonCloudEventData.wrap(order))
                .build();
    }

    private static HttpRequest binary(CloudEvent event) {
        return request(writer -> writer.writeBinary(event));
    }

    private static HttpRequest structured(CloudEvent event) {
        return request(writer -> writer.writeStructured(event, JsonFormat.CONTENT_TYPE));
    }

    private static HttpRequest request(Consumer<MessageWriter<?, Void>> write) {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(GATEWAY + "/v1/events")).timeout(TIMEOUT);
        if (API_KEY != null) {
            request.header("Authorization", "Bearer " + API_KEY);
        }
        write.accept(HttpMessageFactory.createWriter(
                request::header, body -> request.POST(BodyPublishers.ofByteArray(body))));
        return request.build();
    }

    private static JsonNode send(HttpRequest request) throws Refused, IOException, InterruptedException {
        for (int left = TRIES - 1; ; left--) {
            long seconds = 1;
            try {
                HttpResponse<byte[]> response = CLIENT.send(request, BodyHandlers.ofByteArray());
                JsonNode answer = JSON.readTree(response.body());
                int status = response.statusCode();
                if (status == 202) {
                    return answer;
                }
                // Only these two may be sent again. Anything else stays wrong, however often it is sent.
                if ((status != 429 && status != 503) || left == 0) {
                    throw new Refused(answer);
                }
                seconds = Math.min(response.headers().firstValueAsLong("Retry-After").orElse(1), LONGEST_WAIT_S);
                System.err.printf("%d %s: again in %d s%n", status, answer.path("title").asText(), seconds);
            } catch (IOException error) {
                // Without an answer the event may be stored or not. The same id makes it safe to send it again.
                if (left == 0) {
                    throw error;
                }
                System.err.printf("no answer: again in %d s%n", seconds);
            }
            Thread.sleep(Duration.ofSeconds(seconds).toMillis());
        }
    }

    private static void show(String what, JsonNode receipt) {
        String how = receipt.path("duplicate").asBoolean() ? "duplicate" : "accepted";
        System.out.printf("%s: %s, receipt %s%n", what, how, receipt.path("id").asText());
    }

    private static ObjectNode order(String id, String customer) {
        ObjectNode order = JSON.createObjectNode().put("orderId", id).put("customer", customer);
        order.putArray("lines").addObject().put("sku", "tea-250").put("quantity", 2);
        order.putObject("total").put("amount", 1580).put("currency", "EUR");
        return order;
    }

    public static void main(String[] arguments) throws IOException, InterruptedException {
        try {
            CloudEvent first = orderPlaced(order("o-2001", "c-17"));
            show("binary", send(binary(first)));
            show("binary again", send(binary(first)));

            CloudEvent second = orderPlaced(order("o-2002", "c-42"));
            show("structured", send(structured(second)));
            show("structured again", send(structured(second)));
        } catch (Refused refused) {
            System.err.println(refused.getMessage());
            System.exit(1);
        }
        ObjectNode withoutTotal = order("o-2003", "c-42").without("total");
        try {
            show("wrong", send(binary(orderPlaced(withoutTotal))));
        } catch (Refused refused) {
            System.out.println("wrong: refused, " + refused.getMessage());
        }
    }
}
