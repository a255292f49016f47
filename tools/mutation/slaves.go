package mutation

const slaveTests = "./replication"

// slaveList breaks what a master promises about its slaves.
var slaveList = []Mutation{
	{
		Name: "a master waits for no slave",
		File: "replication/slaves.go",
		Old:  "		through = min(through, w.reached(wait))\n",
		New:  "",
		Test: slaveTests, Run: "TestWhatAMasterAnswers",
	},
	{
		Name: "a master confirms what no slave has",
		File: "replication/slaves.go",
		Old:  "	if len(w.slaves) < w.kind.InSync {\n		return through, 0\n	}\n	return through, w.reached(w.kind.InSync)\n",
		New:  "	return through, noLimit\n",
		Test: slaveTests, Run: "TestWhatAMasterAnswers|TestWithTooFewSlaves",
	},
	{
		Name: "a master leads without having asked",
		File: "replication/inquiry.go",
		Old:  "case master && !a.later && len(a.silent) == 0:",
		New:  "case master && !a.later:",
		Test: slaveTests, Run: "TestAMasterThatWasDownServesNothing",
	},
	{
		Name: "a master doesn't heed what nameservers have heard",
		File: "replication/inquiry.go",
		Old:  "a.silent, a.later = silent, latest > hello.Term",
		New:  "a.silent, a.later = silent, latest > hello.Term+1<<20",
		Test: slaveTests, Run: "TestAMasterThatNameserversHaveALaterTerm",
	},
	{
		Name: "what differs is dropped and not put aside",
		File: "replication/inquiry.go",
		Old:  "	d, err := putAside(l, aside, q.options.MasterSlave.Divergent)\n",
		New:  "	d, err := Divergence{First: aside + 1, Last: end}, error(nil)\n",
		Test: slaveTests, Run: "TestAMasterThatReturnsPutsAside",
	},
	{
		Name: "a slave that has less is promoted",
		File: "replication/switch.go",
		Old:  "	if len(more) > 0 {\n",
		New:  "	if false {\n",
		Test: slaveTests, Run: "TestASlaveIsNotPromoted",
	},
	{
		Name: "a checkpoint replaces what a slave alone may have",
		File: "replication/statemachine.go",
		Old:  "		err = g.beforeReset(at)\n",
		New:  "		_ = at\n",
		Test: slaveTests, Run: "TestASlaveOfWhichANewMasterKnowsLess",
	},
	{
		Name: "a slave that nobody leads shows less than it has",
		File: "replication/leading.go",
		Old:  "		g.commitOrphaned()\n",
		New:  "",
		Test: slaveTests, Run: "TestASlaveThatLosesItsMaster",
	},
}
