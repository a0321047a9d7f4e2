package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
)

// view is what was told of one cluster, and so what is a change to it.
//
// A stream is read again after every doubt. What that brings again is passed over; what it does not bring any more is
// withdrawn, but not before the cluster itself says, by digests, that nothing is missing in the stream.
type view struct {
	cluster    string
	replaying  bool
	told       map[string]string // by subject: the state that was told
	missing    map[string]bool   // told before, and not yet brought by this replay
	marks      map[string]mark   // by subject: the messages of this replay that the digests count
	epoch      uint64            // the newest incarnation of the watcher
	leftAt     uint64            // the incarnation that said that the cluster left; 0: none did
	announced  *announcement     // of a replay: nothing came after it yet that it counts
	mismatches int
}

// announcement is what is read of a cluster's own message.
type announcement struct {
	Digests map[string]digest `json:"digests"`
}

// digested are the kinds that the watcher of a cluster publishes, and counts.
var digested = map[string]bool{"node": true, "service": true, "endpoints": true}

func newView(cluster string) *view {
	return &view{cluster: cluster, told: map[string]string{}}
}

func (v *view) doubtful() bool { return v.mismatches >= 2 }

func (v *view) beginReplay() {
	v.replaying, v.epoch, v.announced, v.mismatches = true, 0, nil, 0
	v.marks = map[string]mark{}
	v.missing = map[string]bool{}
	for subject := range v.told {
		v.missing[subject] = true
	}
}

func (v *view) endReplay() {
	v.replaying = false
	whole := v.announced != nil && v.confirms(v.announced)
	v.withdraw(func(subject string) bool {
		kind := kindOf(subject)
		return v.missing[subject] && (whole || kind == "link" || kind == "refusal")
	})
	fmt.Fprintln(os.Stderr, "synced", v.cluster)
}

// take folds one message, and tells what it changes.
func (v *view) take(subject string, headers nats.Header, payload []byte) {
	kind := kindOf(subject)
	var message struct {
		Type string `json:"type"`
	}
	delete(v.missing, subject)
	if json.Unmarshal(payload, &message) != nil || !strings.HasPrefix(message.Type, kind+".") {
		return
	}
	withdrawn := strings.HasSuffix(message.Type, ".withdrawn.v1")
	epoch, _ := strconv.ParseUint(headers.Get("Heliograph-Epoch"), 10, 64)
	if digested[kind] && !v.count(subject, epoch, payload, withdrawn) {
		return
	}
	if kind == "cluster" && withdrawn {
		v.leftAt = epoch
		v.marks = map[string]mark{}
		v.withdraw(func(other string) bool { return other != subject })
	}
	v.tell(subject, state(kind, payload), withdrawn)
	if kind == "cluster" && !withdrawn {
		v.hear(payload)
	}
}

// count takes a message into account; it returns false for one that does not hold any more.
func (v *view) count(subject string, epoch uint64, payload []byte, withdrawn bool) bool {
	if epoch < v.leftAt || epoch < v.epoch {
		return false
	}
	v.epoch, v.announced = epoch, nil
	delete(v.marks, subject)
	if !withdrawn {
		v.marks[subject] = fingerprint(subject, payload)
	}
	return true
}

// hear takes the cluster's own message: if its digests are those of what was read, what is missing is gone.
func (v *view) hear(payload []byte) {
	var said announcement
	if json.Unmarshal(payload, &said) != nil {
		return
	}
	if v.leftAt != 0 { // it is back: read again what was passed over
		v.leftAt, v.mismatches = 0, 2
	}
	if v.replaying {
		v.announced = &said
	} else if v.confirms(&said) {
		v.withdraw(func(subject string) bool { return v.missing[subject] })
	}
}

func (v *view) confirms(said *announcement) bool {
	if said.Digests == nil {
		return false
	}
	for kind := range digested {
		if said.Digests[kind] != digestOf(kind, v.marks) {
			v.mismatches++
			return false
		}
	}
	v.mismatches = 0
	return true
}

func (v *view) tell(subject, now string, withdrawn bool) {
	before, known := v.told[subject]
	switch {
	case withdrawn && known:
		delete(v.told, subject)
		v.say("withdrawn", subject)
	case withdrawn || known && before == now:
	case known:
		v.told[subject] = now
		v.say("modified", subject)
	default:
		v.told[subject] = now
		v.say("added", subject)
	}
}

func (v *view) withdraw(gone func(subject string) bool) {
	var subjects []string
	for subject := range v.told {
		if gone(subject) {
			subjects = append(subjects, subject)
		}
	}
	sort.Strings(subjects)
	for _, subject := range subjects {
		delete(v.told, subject)
		delete(v.missing, subject)
		v.say("withdrawn", subject)
	}
}

func (v *view) say(change, subject string) {
	tokens := strings.Split(subject, ".")[4:]
	if tokens[0] == "_" { // a refusal of something that has no namespace
		tokens = tokens[1:]
	}
	name := strings.ReplaceAll(strings.Join(tokens, "/"), "_", ".")
	fmt.Println(change, v.cluster, kindOf(subject), name)
}

// kindOf returns the fourth token: heliograph.v1.<cluster>.<kind>[.<namespace>].<name>.
func kindOf(subject string) string { return strings.Split(subject, ".")[3] }

// state returns what tells states apart. A cluster announces itself every few seconds, with digests that change with
// all that it has: that alone is no change of the cluster.
func state(kind string, payload []byte) string {
	fields := map[string]any{}
	if kind != "cluster" || json.Unmarshal(payload, &fields) != nil {
		return string(payload)
	}
	delete(fields, "digests")
	plain, _ := json.Marshal(fields)
	return string(plain)
}
