import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.avro.AvroRuntimeException;
import org.apache.avro.Schema;
import org.apache.avro.SchemaCompatibility;
import org.apache.avro.SchemaCompatibility.Incompatibility;

/**
 * With `text`, a line in is a schema and a line out is what `Schema.toString` writes, or `refused` with a message. Else Java's own
 * verdicts: a line in is a reader's and a writer's schema with a tab between them; a line out is `compatible`, or
 * `incompatible` with `TYPE@/path` for each incompatibility, or `refused` (the parser) or `threw` (the check) with a message.
 */
public final class AvroCompat {
  public static void main(String[] arguments) throws Exception {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    boolean text = arguments.length == 1 && arguments[0].equals("text");
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      String[] pair = line.split("\t");
      out.println((text ? text(line) : verdict(pair[0], pair[1])).replace('\n', ' '));
    }
    out.flush();
  }

  private static String text(String schema) {
    try {
      return new Schema.Parser().parse(schema).toString();
    } catch (RuntimeException refused) {
      return "refused " + refused.getMessage();
    }
  }

  private static String verdict(String readerText, String writerText) {
    Schema reader;
    Schema writer;
    try {
      reader = new Schema.Parser().parse(readerText);
      writer = new Schema.Parser().parse(writerText);
    } catch (RuntimeException refused) {
      return "refused " + refused.getMessage();
    }
    try {
      List<String> found = new ArrayList<>();
      for (Incompatibility one
          : SchemaCompatibility.checkReaderWriterCompatibility(reader, writer).getResult().getIncompatibilities()) {
        found.add(one.getType() + "@" + one.getLocation());
      }
      return found.isEmpty() ? "compatible" : "incompatible " + String.join(" ", found);
    } catch (AvroRuntimeException threw) {
      return "threw " + threw.getMessage();
    }
  }
}
