package mutation

const groupTests = "./replication/clustertest"

// groupList are ways in which nodes of a group break what they promise each
// other.
var groupList = []Mutation{
	{
		Name: "a vote is given before it is synced",
		File: "replication/stablestore.go",
		Old:  "			err = f.SyncData()\n",
		New:  "			err = nil\n",
		Test: groupTests, Run: "AVoteIsSynced",
	},
	{
		Name: "a node confirms entries before its mark has passed them",
		File: "replication/transport/serve.go",
		Old:  "	if last > uint64(t.config.Entries.Stored()) {\n",
		New:  "	if false && last > uint64(t.config.Entries.Stored()) {\n",
		Test: "./replication/transport", Run: "ANodeConfirmsEntriesOnly",
	},
	{
		Name: "a leader counts its own copy before its mark has passed it",
		File: "replication/logstore.go",
		Old:  "func (s *LogStore) Stored() event.Index { return reached(s.log.Marks(), s.mark) }\n",
		New:  "func (s *LogStore) Stored() event.Index { return s.log.Marks().Appended }\n",
		Test: groupTests, Run: "ALeaderThatLosesPowerBeforeItsDisk",
	},
	{
		Name: "a leader tells of commits that count its own copy before its mark has passed it",
		File: "replication/transport/transport.go",
		Old:  "		head.LeaderCommitIndex = min(head.LeaderCommitIndex, uint64(t.config.Entries.Stored()))\n",
		New:  "",
		Test: groupTests, Run: "ALeaderCountsItsOwnCopy",
	},
	{
		Name: "entries are applied before they are committed",
		File: "replication/statemachine.go",
		Old:  "	if through > g.engine.Marks().Committed {\n",
		New:  "	if through = g.engine.Marks().Appended; through > g.engine.Marks().Committed {\n",
		Test: groupTests, Run: "AStaleLeader|LosePower|Truncates",
	},
	{
		Name: "a leader confirms what it has stored itself",
		File: "replication/handing.go",
		Old:  "	if early > 0 {\n		p.written(p.log.Marks().Written)\n	}\n",
		New:  "	p.early++\n	_ = early\n	p.committed(engine.Marks{Committed: p.log.Marks().Appended})\n",
		Test: groupTests, Run: "AStaleLeader|AFollowerConfirmsOnly",
	},
	{
		Name: "a node leads before it has applied what was committed before",
		File: "replication/leading.go",
		Old:  "	return g.awaitApplied(ctx, through)\n",
		New:  "	_, _ = g.awaitApplied, ctx\n	return nil\n",
		Test: groupTests, Run: "ANodeLeadsWhen",
	},
	{
		Name: "a node that loses leadership keeps what was under way",
		File: "replication/handing.go",
		Old:  "	p.inflight, p.urgent, p.closed, p.early = nil, nil, nil, 0\n",
		New:  "	p.urgent, p.closed, p.early = nil, nil, 0\n",
		Test: groupTests, Run: "AnOldLeader|AStaleLeader",
	},
	{
		Name: "a node that leads again counts on from what was never committed",
		File: "replication/handing.go",
		Old:  "	clear(p.next)\n",
		New:  "",
		Test: groupTests, Run: "AnOldLeader",
	},
	{
		Name: "a leader without room stays",
		File: "replication/room.go",
		Old:  "			g.handToRoom()\n",
		New:  "			_ = g.handToRoom\n",
		Test: groupTests, Run: "UnderALeaderWithRoom",
	},
	{
		Name: "a checkpoint is installed, and what is applied next comes from before it",
		File: "engine/install.go",
		Old:  "	e.cursor = e.log.CursorFrom(at.index + 1)\n",
		New:  "",
		Test: groupTests, Run: "AReplicaThatIsFarBehind|ANewReplica",
	},
}
