package admin

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/apogeemq/apogee/server/broker/track"
)

// columns are what is between them.
var columns = regexp.MustCompile(` {2,}`)

func TestATrackShowsWhatLedToTheStateOfEachGroup(t *testing.T) {
	t.Parallel()
	behind := int64(3)
	message := track.Message{Topic: "orders", Queue: 1, Offset: 41, ID: "0A", UniqueKey: "U1", StoredAt: 1_700_000_000_000, State: track.Stored, Groups: []track.Group{
		{Group: "billing", State: track.Acknowledged, Acknowledged: &track.Acknowledgment{Time: 1_700_000_000_250, Client: "client", From: 32, To: 64, Exact: true}},
		{Group: "hasty", State: track.Acknowledged, Deliveries: []track.Delivery{{Client: "client", Since: 1_700_000_000_100, Until: 1_700_000_000_250}},
			Acknowledged: &track.Acknowledgment{Time: 1_700_000_000_102, Client: "client", From: 41, To: 42, Exact: true}},
		{Group: "audit", State: track.Retrying, Acknowledged: &track.Acknowledgment{Time: 1_700_000_001_000, Client: "client", From: -1, To: 42, Exact: true},
			Tries: []track.Try{
				{Number: 1, SentBackAt: 1_700_000_000_900, State: track.TryAcknowledged, Place: &track.Place{Topic: "%RETRY%audit", Offset: 7},
					Acknowledged: &track.Acknowledgment{Time: 1_700_000_012_000, Client: "client"},
					Deliveries:   []track.Delivery{{Client: "client", Since: 1_700_000_010_000, Until: 1_700_000_010_000}}},
				{Number: 2, SentBackAt: 1_700_000_011_000, State: track.TryWaiting, Due: 1_700_000_041_000},
			}},
		{Group: "stuck", State: track.Delivered, Behind: &behind, Deliveries: []track.Delivery{{Client: "client", Since: 1_700_000_000_100, Until: 1_700_000_000_100}}},
		{Group: "broken", State: track.Dead, Dead: &track.Place{Topic: "%DLQ%broken", StoredAt: 1_700_000_002_000}},
		{Group: "slow", State: track.NotConsumed, Behind: &behind},
		{Group: "tv", State: track.NotRecorded, Note: "the group broadcasts"},
	}}
	late := track.Message{Topic: "orders", Offset: -1, ID: "0B", StoredAt: 1_700_000_000_000, State: track.Delayed, Due: 1_700_000_060_000}
	recalled := track.Message{Topic: "orders", Offset: -1, ID: "0C", StoredAt: 1_700_000_000_000, State: "recalled", EndedAt: 1_700_000_001_000}
	var b bytes.Buffer
	o := &options{}
	if err := o.print(&b, tracked{{Broker: "broker-a", Messages: []track.Message{message, late}}, {Broker: "broker-b", Messages: []track.Message{recalled}}}); err != nil {
		t.Fatal(err)
	}
	want := `orders queue 1 offset 41 on broker-a, stored 2023-11-14T22:13:20.000Z
message id 0A, unique key U1

GROUP  STATE  TIME  CLIENT  DETAILS
billing  acknowledged  2023-11-14T22:13:20.250Z  client  250ms after it was stored, with the offsets from 32 to 63
hasty  acknowledged
  delivered  2023-11-14T22:13:20.100Z  client  or up to 150ms later
  acknowledged  2023-11-14T22:13:20.102Z  client  2ms after its last delivery; 102ms after it was stored, with the offsets from 41 to 41
audit  retrying
  acknowledged  2023-11-14T22:13:21.000Z  client  1s after it was stored, with the offsets from the beginning to 41
  try 1 delivered  2023-11-14T22:13:30.000Z  client
  try 1 acknowledged  2023-11-14T22:13:32.000Z  client  sent back 2023-11-14T22:13:20.900Z; %RETRY%audit queue 0 offset 7
  try 2 waiting  2023-11-14T22:14:01.000Z  due then; sent back 2023-11-14T22:13:31.000Z
stuck  delivered  3 messages of the queue come before it
  delivered  2023-11-14T22:13:20.100Z  client
broken  dead
  dead letter  2023-11-14T22:13:22.000Z  %DLQ%broken queue 0 offset 0
slow  not consumed  3 messages of the queue come before it
tv  not recorded  the group broadcasts

orders queue 0 on broker-a, stored 2023-11-14T22:13:20.000Z
message id 0B, unique key none
it waits until 2023-11-14T22:14:20.000Z

orders queue 0 on broker-b, stored 2023-11-14T22:13:20.000Z
message id 0C, unique key none
nobody will see it: recalled at 2023-11-14T22:13:21.000Z
`
	var got bytes.Buffer
	for line := range bytes.Lines(b.Bytes()) {
		got.WriteString(columns.ReplaceAllString(strings.TrimRight(string(line), " \n"), "  ") + "\n")
	}
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
}
