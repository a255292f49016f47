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
		Name: "a checkpoint is installed, and what is applied next comes from before it",
		File: "engine/install.go",
		Old:  "	e.cursor = e.log.CursorFrom(at.index + 1)\n",
		New:  "",
		Test: groupTests, Run: "AReplicaThatIsFarBehind|ANewReplica",
	},
}
