// franz-go with its default settings: a producer with idempotence on, two consumers in a group, an admin.
// One line a scenario: `ok - NAME`, or `not ok - NAME: REASON`.
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	limit      = 30 * time.Second
	partitions = 3
	records    = 3000
)

// Fresh names, so that a run does not see what an earlier one left.
var (
	run   = fmt.Sprintf("%08x", rand.Uint32())
	topic = "go-" + run
	group = "go-" + run
)

// place is where a record stands, and what it is.
type place struct {
	partition int32
	offset    int64
	value     string
}

type scenario struct {
	name string
	run  func(context.Context, *kadm.Client) error
}

// sent is what the acknowledgements said, in the order of sending.
var sent []place

func main() {
	failed := false
	scenarios := []scenario{
		{"admin: create, refuse a second, list", createTopic},
		{"idempotent producer: dense offsets in the order sent", produce},
		{"group of two: each record once, shared out, in order per partition", consumeInGroup},
		{"admin: committed offsets are the ends", committedOffsets},
		{"a produce that asks for a topic creates it", autoCreate},
		{"every compression", compressions},
		{"admin: delete", deleteTopic},
	}
	if os.Getenv("REGISTRY") != "" {
		scenarios = append(scenarios, registryScenarios...)
	}
	for _, scenario := range scenarios {
		began := time.Now()
		if err := withAdmin(scenario.run); err != nil {
			failed = true
			fmt.Printf("not ok - %s: %s\n", scenario.name, strings.ReplaceAll(err.Error(), "\n", " "))
			continue
		}
		fmt.Printf("ok - %s (%d ms)\n", scenario.name, time.Since(began).Milliseconds())
	}
	if failed {
		os.Exit(1)
	}
}

func withAdmin(scenario func(context.Context, *kadm.Client) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	client, err := connect()
	if err != nil {
		return err
	}
	defer client.Close()
	return scenario(ctx, kadm.NewClient(client))
}

func connect(options ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(os.Getenv("BOOTSTRAP"))}, options...)...)
}

func createTopic(ctx context.Context, admin *kadm.Client) error {
	retention := "86400000"
	if _, err := admin.CreateTopic(ctx, partitions, 1, map[string]*string{"retention.ms": &retention}, topic); err != nil {
		return err
	}
	if _, err := admin.CreateTopic(ctx, partitions, 1, nil, topic); !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("a second creation: %w", err)
	}
	topics, err := admin.ListTopics(ctx, topic)
	if err != nil {
		return err
	}
	if found := len(topics[topic].Partitions); found != partitions {
		return fmt.Errorf("%d partitions, not %d", found, partitions)
	}
	return nil
}

func produce(ctx context.Context, _ *kadm.Client) error {
	client, err := connect(kgo.DefaultProduceTopic(topic))
	if err != nil {
		return err
	}
	defer client.Close()
	batch := make([]*kgo.Record, records)
	for i := range batch {
		batch[i] = &kgo.Record{Key: fmt.Appendf(nil, "key-%d", i%97), Value: fmt.Appendf(nil, "value %05d", i)}
	}
	if err := client.ProduceSync(ctx, batch...).FirstErr(); err != nil {
		return err
	}
	next := map[int32]int64{}
	for _, record := range batch {
		if record.Offset != next[record.Partition] {
			return fmt.Errorf("partition %d: offset %d, expected %d", record.Partition, record.Offset, next[record.Partition])
		}
		next[record.Partition]++
		sent = append(sent, placeOf(record))
	}
	if len(next) != partitions {
		return fmt.Errorf("%d partitions used, not %d", len(next), partitions)
	}
	return nil
}

func consumeInGroup(ctx context.Context, _ *kadm.Client) error {
	var assigned [2]map[int32]bool
	var changed sync.Mutex
	var members [2]*kgo.Client
	for i := range members {
		assigned[i] = map[int32]bool{}
		member, err := connect(
			kgo.ConsumerGroup(group),
			kgo.ConsumeTopics(topic),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.DisableAutoCommit(),
			kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, added map[string][]int32) {
				changed.Lock()
				defer changed.Unlock()
				for _, partition := range added[topic] {
					assigned[i][partition] = true
				}
			}),
			kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
				changed.Lock()
				defer changed.Unlock()
				for _, partition := range lost[topic] {
					delete(assigned[i], partition)
				}
			}),
		)
		if err != nil {
			return err
		}
		defer member.Close()
		members[i] = member
	}
	// Nothing is read before both have joined, so that nothing is read twice.
	shared := func() bool {
		changed.Lock()
		defer changed.Unlock()
		return len(assigned[0]) > 0 && len(assigned[1]) > 0 && len(assigned[0])+len(assigned[1]) == partitions
	}
	for !shared() {
		if ctx.Err() != nil {
			return fmt.Errorf("the two did not share the partitions: %v", assigned)
		}
		time.Sleep(10 * time.Millisecond)
	}
	var found []place
	for i := 0; len(found) < records; i++ {
		if ctx.Err() != nil {
			return fmt.Errorf("only %d of %d records", len(found), records)
		}
		poll, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		fetches := members[i%2].PollFetches(poll)
		cancel()
		if err := fetches.Err0(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		fetches.EachRecord(func(record *kgo.Record) { found = append(found, placeOf(record)) })
	}
	for _, member := range members {
		if err := member.CommitUncommittedOffsets(ctx); err != nil {
			return fmt.Errorf("commit: %w", err)
		}
	}
	if !slices.Equal(byPartition(sent), byPartition(found)) {
		return errors.New("what was read is not what was sent, in its order")
	}
	return nil
}

func committedOffsets(ctx context.Context, admin *kadm.Client) error {
	committed, err := admin.FetchOffsets(ctx, group)
	if err != nil {
		return err
	}
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return err
	}
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return err
	}
	total := int64(0)
	for partition := range int32(partitions) {
		end, _ := ends.Lookup(topic, partition)
		start, _ := starts.Lookup(topic, partition)
		at, _ := committed.Lookup(topic, partition)
		if end.Err != nil || start.Err != nil || at.Err != nil {
			return errors.Join(end.Err, start.Err, at.Err)
		}
		if at.At != end.Offset {
			return fmt.Errorf("partition %d: committed %d, end %d", partition, at.At, end.Offset)
		}
		total += end.Offset - start.Offset
	}
	if total != records {
		return fmt.Errorf("ends minus starts are %d, not %d", total, records)
	}
	return nil
}

func autoCreate(ctx context.Context, _ *kadm.Client) error {
	created := topic + "-auto"
	client, err := connect(kgo.AllowAutoTopicCreation(), kgo.ConsumeTopics(created), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	headers := []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "a", Value: []byte("2")}}
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: created, Value: []byte("first"), Headers: headers}).FirstErr(); err != nil {
		return err
	}
	found := client.PollFetches(ctx).Records()
	if len(found) != 1 || string(found[0].Value) != "first" || len(found[0].Headers) != 2 || string(found[0].Headers[1].Value) != "2" {
		return fmt.Errorf("read back %v", found)
	}
	return nil
}

func compressions(ctx context.Context, admin *kadm.Client) error {
	created := topic + "-compressed"
	if _, err := admin.CreateTopic(ctx, 1, 1, nil, created); err != nil {
		return err
	}
	var expected []place
	for _, codec := range []kgo.CompressionCodec{
		kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(),
	} {
		client, err := connect(kgo.ProducerBatchCompression(codec), kgo.DefaultProduceTopic(created))
		if err != nil {
			return err
		}
		defer client.Close()
		batch := make([]*kgo.Record, 300)
		for i := range batch {
			batch[i] = &kgo.Record{Value: []byte(strings.Repeat(fmt.Sprint("value ", i, " "), 20))}
		}
		if err := client.ProduceSync(ctx, batch...).FirstErr(); err != nil {
			return err
		}
		for _, record := range batch {
			expected = append(expected, placeOf(record))
		}
	}
	reader, err := connect(kgo.ConsumeTopics(created), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer reader.Close()
	var found []place
	for len(found) < len(expected) {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("%d of %d records: %w", len(found), len(expected), err)
		}
		fetches.EachRecord(func(record *kgo.Record) { found = append(found, placeOf(record)) })
	}
	if !slices.Equal(expected, found) {
		return errors.New("what was read is not what was sent")
	}
	return nil
}

func deleteTopic(ctx context.Context, admin *kadm.Client) error {
	if _, err := admin.DeleteTopic(ctx, topic); err != nil {
		return err
	}
	if _, err := admin.DeleteTopic(ctx, topic); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return fmt.Errorf("a second deletion: %w", err)
	}
	return nil
}

func placeOf(record *kgo.Record) place {
	return place{record.Partition, record.Offset, string(record.Value)}
}

// byPartition sorts by partition only: within one, the order stays as it came.
func byPartition(places []place) []place {
	sorted := slices.Clone(places)
	slices.SortStableFunc(sorted, func(a, b place) int { return int(a.partition - b.partition) })
	return sorted
}
