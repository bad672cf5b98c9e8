// Package kafka tests the broker at KAFKA_BOOTSTRAP_SERVERS with franz-go, a client that goes by the newest versions
// of the protocol.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// patience is how long a test may take.
const patience = time.Minute

var unique = func() func(string) string {
	var mutex sync.Mutex
	run, count := time.Now().UnixNano(), 0
	return func(name string) string {
		mutex.Lock()
		defer mutex.Unlock()
		count++
		return fmt.Sprintf("%s-go-%x-%d", name, run, count)
	}
}()

func client(t *testing.T, options ...kgo.Opt) (context.Context, *kgo.Client) {
	t.Helper()
	servers := os.Getenv("KAFKA_BOOTSTRAP_SERVERS")
	if servers == "" {
		servers = "localhost:9092"
	}
	options = append([]kgo.Opt{
		kgo.SeedBrokers(strings.Split(servers, ",")...),
		kgo.HeartbeatInterval(200 * time.Millisecond),
		kgo.FetchMaxWait(500 * time.Millisecond),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	}, options...)
	client, err := kgo.NewClient(options...)
	must(t, err)
	t.Cleanup(client.Close)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx, client
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newTopic makes a topic that is ready for use: Kafka answers CreateTopics before all of it knows the topic.
func newTopic(t *testing.T, partitions int32) string {
	t.Helper()
	ctx, client := client(t)
	admin := kadm.NewClient(client)
	topic := unique("t")
	_, err := admin.CreateTopic(ctx, partitions, 1, nil, topic)
	must(t, err)
	for {
		ends, err := admin.ListEndOffsets(ctx, topic)
		if err == nil && ends.Error() == nil && len(ends[topic]) == int(partitions) {
			return topic
		}
		must(t, ctx.Err())
	}
}

func produce(t *testing.T, topic string, partition int32, values ...string) []int64 {
	t.Helper()
	ctx, client := client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	var records []*kgo.Record
	for _, value := range values {
		records = append(records, &kgo.Record{Topic: topic, Partition: partition, Value: []byte(value)})
	}
	results := client.ProduceSync(ctx, records...)
	must(t, results.FirstErr())
	var offsets []int64
	for _, result := range results {
		offsets = append(offsets, result.Record.Offset)
	}
	return offsets
}

// take reads the next records' values.
func take(t *testing.T, ctx context.Context, client *kgo.Client, count int) []string {
	t.Helper()
	var values []string
	for len(values) < count {
		fetches := client.PollRecords(ctx, count-len(values))
		must(t, fetches.Err())
		fetches.EachRecord(func(record *kgo.Record) { values = append(values, string(record.Value)) })
	}
	return values
}

func numbers(from, to int) (values []string) {
	for number := from; number < to; number++ {
		values = append(values, strconv.Itoa(number))
	}
	return values
}

func equal[T comparable](t *testing.T, what string, found, wanted []T) {
	t.Helper()
	if !slices.Equal(found, wanted) {
		t.Fatalf("%s: %v, not %v", what, found, wanted)
	}
}

func TestEveryCodec(t *testing.T) {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	for name, codec := range codecs {
		t.Run(name, func(t *testing.T) {
			topic := newTopic(t, 1)
			ctx, producer := client(t, kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(20*time.Millisecond))
			var records []*kgo.Record
			for _, value := range numbers(0, 100) {
				records = append(records, &kgo.Record{Topic: topic, Value: []byte(value)})
			}
			must(t, producer.ProduceSync(ctx, records...).FirstErr())
			ctx, reader := client(t, kgo.ConsumeTopics(topic))
			equal(t, "values", take(t, ctx, reader, 100), numbers(0, 100))
		})
	}
}

func TestATopicIsMadeOnUse(t *testing.T) {
	topic := unique("made-on-use")
	ctx, producer := client(t, kgo.AllowAutoTopicCreation())
	must(t, producer.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("v")}).FirstErr())
	ctx, reader := client(t, kgo.ConsumeTopics(topic))
	equal(t, "values", take(t, ctx, reader, 1), []string{"v"})
}

func TestAGroupGoesOnWhereItCommitted(t *testing.T) {
	topic, group := newTopic(t, 1), unique("g")
	equal(t, "offsets", produce(t, topic, 0, numbers(0, 10)...), []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	options := []kgo.Opt{kgo.ConsumeTopics(topic), kgo.ConsumerGroup(group), kgo.DisableAutoCommit()}
	ctx, first := client(t, options...)
	equal(t, "first", take(t, ctx, first, 4), numbers(0, 4))
	must(t, first.CommitUncommittedOffsets(ctx))
	first.Close()
	ctx, second := client(t, options...)
	equal(t, "second", take(t, ctx, second, 6), numbers(4, 10))
}

func TestMembersHandOverStepByStep(t *testing.T) {
	topic, group := newTopic(t, 4), unique("g")
	var mutex sync.Mutex
	assigned := map[string]map[int32]bool{}
	changed := make(chan struct{}, 1000)
	join := func(name string) *kgo.Client {
		note := func(has bool) func(context.Context, *kgo.Client, map[string][]int32) {
			return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
				mutex.Lock()
				defer mutex.Unlock()
				if assigned[name] == nil {
					assigned[name] = map[int32]bool{}
				}
				for _, partition := range partitions[topic] {
					if has {
						assigned[name][partition] = true
					} else {
						delete(assigned[name], partition)
					}
				}
				changed <- struct{}{}
			}
		}
		_, member := client(t, kgo.ConsumeTopics(topic), kgo.ConsumerGroup(group),
			kgo.Balancers(kgo.CooperativeStickyBalancer()),
			kgo.OnPartitionsAssigned(note(true)), kgo.OnPartitionsRevoked(note(false)), kgo.OnPartitionsLost(note(false)))
		return member
	}
	until := func(shares string) {
		t.Helper()
		deadline := time.After(patience)
		for {
			mutex.Lock()
			found := fmt.Sprint(len(assigned["one"]), len(assigned["two"]))
			mutex.Unlock()
			if found == shares {
				return
			}
			select {
			case <-changed:
			case <-deadline:
				t.Fatalf("shares are %s, not %s", found, shares)
			}
		}
	}
	join("one")
	until("4 0")
	two := join("two")
	until("2 2")
	two.Close()
	until("4 0")
}

func TestAdministration(t *testing.T) {
	topic, group := newTopic(t, 2), unique("g")
	produce(t, topic, 0, numbers(0, 5)...)
	ctx, client := client(t)
	admin := kadm.NewClient(client)

	_, err := admin.CreateTopic(ctx, 1, 1, nil, topic)
	if !errors.Is(err, kerr.TopicAlreadyExists) {
		t.Fatalf("a topic exists once: %v", err)
	}
	details, err := admin.ListTopics(ctx, topic)
	must(t, err)
	if count := len(details[topic].Partitions); count != 2 {
		t.Fatalf("%d partitions", count)
	}
	byTime, err := admin.ListOffsetsAfterMilli(ctx, 0, topic)
	must(t, err)
	if offset, _ := byTime.Lookup(topic, 0); offset.Offset != 0 {
		t.Fatalf("after time 0: %v", offset)
	}

	var offsets kadm.Offsets
	offsets.AddOffset(topic, 0, 3, -1)
	must(t, admin.CommitAllOffsets(ctx, group, offsets))
	fetched, err := admin.FetchOffsets(ctx, group)
	must(t, err)
	if found, _ := fetched.Lookup(topic, 0); found.At != 3 {
		t.Fatalf("committed %v", found)
	}
	lags, err := admin.Lag(ctx, group)
	must(t, err)
	if lag := lags[group].Lag[topic][0].Lag; lag != 2 {
		t.Fatalf("the lag is %d", lag)
	}
	described, err := admin.DescribeGroups(ctx, group)
	must(t, err)
	if state := described[group].State; state != "Empty" {
		t.Fatalf("the group is %s", state)
	}

	var ends kadm.Offsets
	ends.AddOffset(topic, 0, 2, -1)
	deleted, err := admin.DeleteRecords(ctx, ends)
	must(t, err)
	if low := deleted[topic][0].LowWatermark; low != 2 {
		t.Fatalf("the low watermark is %d", low)
	}
	_, err = admin.DeleteGroup(ctx, group)
	must(t, err)
	_, err = admin.DeleteTopic(ctx, topic)
	must(t, err)
}
