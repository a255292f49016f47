package load

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/apogeemq/apogee/bench/frame"
)

func TestPullOnceReadsEveryMessageOnce(t *testing.T) {
	t.Parallel()
	for _, s := range []frame.Serialization{frame.JSON, frame.Binary} {
		t.Run(fmt.Sprintf("%s header", s), func(t *testing.T) {
			t.Parallel()
			b := &fakeBroker{backlog: 1050} // offsets of one to four digits
			o := PullOptions{Target: target(startBroker(t, b), s), Consumers: 3, Count: 32, Reading: ReadOnce, Group: "G"}
			r, err := Pull(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if r.Messages != 4*1050 || r.Bytes != 4*1050*5 || r.Requests != 4*33 || r.Errors != 0 {
				t.Fatalf("%d messages, %d bytes, %d requests, %d errors", r.Messages, r.Bytes, r.Requests, r.Errors)
			}
		})
	}
}

func TestPullOfTheLastMessagesLeavesOutTheOthers(t *testing.T) {
	t.Parallel()
	b := &fakeBroker{backlog: 1000}
	o := PullOptions{Target: target(startBroker(t, b), frame.JSON), Consumers: 4, Count: 32, Last: 10, Reading: ReadOnce, Group: "G"}
	r, err := Pull(t.Context(), o)
	if err != nil || r.Messages != 40 {
		t.Fatalf("%+v, %v", r, err)
	}
}

func TestPullAgainReadsUntilTheTimeIsOver(t *testing.T) {
	t.Parallel()
	b := &fakeBroker{backlog: 3}
	o := PullOptions{Target: target(startBroker(t, b), frame.JSON), Consumers: 4, Count: 32, Reading: ReadAgain, Group: "G"}
	for o.Duration = 100 * time.Millisecond; ; o.Duration *= 2 {
		r, err := Pull(t.Context(), o)
		if err != nil || r.Messages != 3*r.Requests {
			t.Fatalf("%+v, %v", r, err)
		}
		if r.Messages > 12 {
			return
		}
		if o.Duration > 10*time.Second { // a busy machine may need some time
			t.Fatalf("%d messages in %v", r.Messages, o.Duration)
		}
	}
}

func TestPullRefusesDamagedRecords(t *testing.T) {
	t.Parallel()
	for name, corrupt := range map[string]func([]byte){
		"total size": func(b []byte) { b[3]++ },
		"magic":      func(b []byte) { b[recordMagicAt]++ },
		"queue":      func(b []byte) { b[recordQueueAt+3] ^= 8 },
		"offset":     func(b []byte) { b[recordOffsetAt+7]++ },
		"body size":  func(b []byte) { b[recordBodyAt+3]++ },
		"topic size": func(b []byte) { b[recordBodyAt+4+5]++ },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &fakeBroker{backlog: 2, corrupt: corrupt}
			o := PullOptions{Target: target(startBroker(t, b), frame.JSON), Consumers: 1, Count: 32, Reading: ReadOnce, Group: "G"}
			if _, err := Pull(t.Context(), o); !errors.Is(err, ErrRecord) {
				t.Fatalf("error %v", err)
			}
		})
	}
}

func TestPullFromAnEmptyTopicSaysSo(t *testing.T) {
	t.Parallel()
	o := PullOptions{Target: target(startBroker(t, &fakeBroker{}), frame.JSON), Consumers: 1, Count: 32, Reading: ReadOnce, Group: "G"}
	if _, err := Pull(t.Context(), o); err == nil || !strings.Contains(err.Error(), "send some first") {
		t.Fatalf("error %v", err)
	}
}

func TestCursorFollowsTheOffsetThatTheBrokerNames(t *testing.T) {
	t.Parallel()
	at := &cursor{next: 5, end: 100}
	moved := &frame.Frame{Header: []byte(`{"code":21,"extFields":{"nextBeginOffset":"42"},"opaque":1}`)}
	if err := at.move(moved, 21); err != nil || at.next != 42 {
		t.Errorf("next %d, %v", at.next, err)
	}
	if err := at.move(&frame.Frame{Header: []byte(`{}`)}, 20); !errors.Is(err, frame.ErrMalformed) {
		t.Errorf("no offset: %v", err)
	}
	if err := at.move(moved, 2); err != nil || at.next != 42 {
		t.Errorf("busy: next %d, %v", at.next, err)
	}
	if err := at.move(moved, 19); err != nil || at.next != at.end {
		t.Errorf("not found: next %d, %v", at.next, err)
	}
}

func TestRecordsWithIPv6HostsAndLongTopicsAreMeasured(t *testing.T) {
	t.Parallel()
	be := binary.BigEndian
	plain := appendRecord(nil, 3, 7)
	if len(plain) != 115 {
		t.Fatalf("the test's record has %d bytes", len(plain))
	}
	long := bytes.Clone(plain)
	be.PutUint32(long[recordMagicAt:], recordMagic2)
	be.PutUint32(long[recordSysFlagAt:], bornHost6|storeHost6)
	rest := append(make([]byte, 2*host6Surplus), long[recordBodyAt:]...)
	long = append(long[:recordBodyAt:recordBodyAt], rest...)
	at := recordBodyAt + 2*host6Surplus + 4 + 5
	long = append(long[:at:at], append([]byte{0}, long[at:]...)...)
	be.PutUint32(long, uint32(len(long)))
	got, err := checkRecords(append(bytes.Clone(long), appendRecord(nil, 3, 8)...), 3, 7)
	if err != nil || got != (checked{count: 2, bytes: 10, next: 9}) {
		t.Fatalf("%+v, %v", got, err)
	}
}

func FuzzCheckRecords(f *testing.F) {
	two := appendRecord(appendRecord(nil, 1, 2), 1, 3)
	f.Add(two)
	f.Add(two[:len(two)-1])
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := checkRecords(body, 1, 2)
		if err == nil && got.next != 2+int64(got.count) {
			t.Fatalf("%+v", got)
		}
	})
}
