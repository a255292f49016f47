package mutation

const trackTests = "./server/broker/track"

// trackList are ways to tell a wrong story of a message.
var trackList = []Mutation{
	{
		Name: "a commit from before the group was set back passes for the acknowledgment",
		File: "server/broker/track/commits.go",
		Old:  "		if c.offset <= o {\n			begin = c.position\n		}\n",
		New:  "",
		Test: trackTests, Run: "TheCommitThatPassed",
	},
	{
		Name: "a commit of a group that was deleted passes for the acknowledgment",
		File: "server/broker/track/commits.go",
		Old:  "	begin := first.position\n",
		New:  "	begin := event.Position(0)\n",
		Test: trackTests, Run: "TheCommitThatPassed",
	},
	{
		Name: "a commit up to a message counts as one past it",
		File: "server/broker/track/commits.go",
		Old:  "c.offset <= o {\n			return false, err",
		New:  "c.offset < o {\n			return false, err",
		Test: trackTests, Run: "TheCommitThatPassed",
	},
	{
		Name: "a commit that sets a group back isn't marked",
		File: "server/broker/commits.go",
		Old:  "			case o.Offset < applied.Offset:\n",
		New:  "			case o.Offset < applied.Offset-1<<40:\n",
		Test: brokerTests, Run: "EachGroupsAcknowledgment",
	},
	{
		Name: "a message that was sent back isn't found while it waits",
		File: "server/broker/sendback.go",
		Old:  "		Keys: record.AppendKeyHashes(nil, waitsIn.ID, record.Properties(m.Properties).Known().UniqueKey, nil),\n",
		New:  "",
		Test: brokerTests, Run: "ASentBackMessageIsFollowed",
	},
	{
		Name: "the tries of a message are taken for those of another with the same unique key",
		File: "server/broker/track/follow.go",
		Old:  "c.origin.Topic == m.Topic && (",
		New:  "(true || ",
		Test: brokerTests, Run: "TriesBelong",
	},
	{
		Name: "what was moved for retention isn't found by its key any more",
		File: "server/duty/move.go",
		Old:  "Cause: e.Handle, Keys: keys, ",
		New:  "Cause: e.Handle, ",
		Test: "./server/duty", Run: "WhatWaitsIsMoved",
	},
	{
		Name: "what a filter left out counts as delivered",
		File: "server/broker/deliveries.go",
		Old:  "apart && gaps == keepApart || ",
		New:  "apart && gaps > closeGaps || ",
		Test: brokerTests, Run: "WhatAFilterLeavesOut",
	},
	{
		Name: "a range of deliveries has the hash of its first block only",
		File: "engine/event/delivery.go",
		Old:  "at <= (d.Next-1)/DeliveryBlock; at++",
		New:  "at <= d.First/DeliveryBlock; at++",
		Test: brokerTests, Run: "LongRanges",
	},
	{
		Name: "deliveries are told of groups that don't want them recorded",
		File: "server/broker/pull.go",
		Old:  "t.Config.Name, tracksDelivery(g)\n",
		New:  "t.Config.Name, true\n",
		Test: brokerTests, Run: "DeliveriesOfAGroup",
	},
	{
		Name: "events in memory are found by no key but the first",
		File: "engine/projection/queue/index.go",
		Old:  "	for i := range e.KeyCount() {\n		r.keys.add(",
		New:  "	for i := range min(e.KeyCount(), 1) {\n		r.keys.add(",
		Test: "./engine", Run: "AHashFindsItsEvents",
	},
}
