// Command follow prints every change in a ClusterSet: first what is there, then what changes.
//
// It is an example of a program that knows Heliograph by its public contract alone (docs/contract). One line for each
// change goes to standard output:
//
//	added|modified|withdrawn CLUSTER KIND [NAMESPACE/]NAME
//
// and to standard error, when all was told that a cluster's stream holds: "synced CLUSTER".
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	streamPrefix = "HELIOGRAPH_"
	lookEvery    = time.Second      // for clusters that are new
	retryAfter   = time.Second / 2  // when a stream cannot be read
	forgetAfter  = time.Minute      // the server forgets a consumer that nobody reads
	heartbeat    = 2 * time.Second  // an idle server says so; silence is an outage
	askWithin    = 10 * time.Second // a request to the server
)

func main() {
	url := flag.String("nats", nats.DefaultURL, "URL of the bus")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *url); err != nil {
		fmt.Fprintln(os.Stderr, "follow:", err)
		os.Exit(1)
	}
}

// run follows all clusters of one bus, also those that come later, until ctx ends.
func run(ctx context.Context, url string) error {
	connection, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(retryAfter))
	if err != nil {
		return err
	}
	defer connection.Close()
	js, err := jetstream.New(connection)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for {
		names := js.StreamNames(ctx, jetstream.WithStreamListSubject("heliograph.v1.*.cluster.>"))
		for name := range names.Name() {
			if cluster, ours := strings.CutPrefix(name, streamPrefix); ours && !known[cluster] {
				known[cluster] = true
				go follow(ctx, js, cluster)
			}
		}
		if !pause(ctx, lookEvery) {
			return nil
		}
	}
}

// follow reads the stream of one cluster, and begins again from its beginning after any trouble.
func follow(ctx context.Context, js jetstream.JetStream, cluster string) {
	seen := newView(cluster)
	for {
		err := read(ctx, js, seen)
		fmt.Fprintf(os.Stderr, "interrupted %s: %v\n", cluster, err)
		if !pause(ctx, retryAfter) {
			return
		}
	}
}

// read takes the last message of every subject, then every new one; it returns only with an error.
func read(ctx context.Context, js jetstream.JetStream, seen *view) error {
	consumer, pending, err := open(ctx, js, streamPrefix+seen.cluster)
	if err != nil {
		return err
	}
	seen.beginReplay()
	if pending == 0 {
		seen.endReplay()
	}
	messages, err := consumer.Messages(jetstream.PullHeartbeat(heartbeat), jetstream.PullExpiry(3*heartbeat))
	if err != nil {
		return err
	}
	defer messages.Stop()
	context.AfterFunc(ctx, messages.Stop)
	for expected := uint64(1); ; expected++ {
		message, err := messages.Next()
		if err != nil {
			return err
		}
		about, err := message.Metadata()
		if err != nil {
			return err
		}
		if about.Sequence.Consumer != expected {
			return fmt.Errorf("message %d came where %d was expected", about.Sequence.Consumer, expected)
		}
		seen.take(message.Subject(), message.Headers(), message.Data())
		if about.NumPending == 0 && seen.replaying {
			seen.endReplay()
		}
		if seen.doubtful() {
			return fmt.Errorf("what was read is not what the cluster says that its stream holds")
		}
	}
}

// open makes a consumer that begins with the last message of every subject, and tells how many these are.
func open(ctx context.Context, js jetstream.JetStream, stream string) (jetstream.Consumer, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	consumer, err := js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverLastPerSubjectPolicy,
		FilterSubject:     "heliograph.v1.>", // this policy must have one
		AckPolicy:         jetstream.AckNonePolicy,
		InactiveThreshold: forgetAfter,
		MemoryStorage:     true,
	})
	if err != nil {
		return nil, 0, err
	}
	return consumer, consumer.CachedInfo().NumPending, nil
}

// pause waits, and tells whether there is anything to go on for.
func pause(ctx context.Context, long time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(long):
		return true
	}
}
