package mutation

const repairTests = "TestADamagedFrame|TestManyDamaged|TestDurableFrames|TestWhatIsDamaged|TestAPowerCutIsTold|TestAFrameThatDoesNotFit"

const standingTests = "TestANodeThatLostPower|TestAVoteNeedsAllVoters|TestAReplicaThatLacks|TestAnOperatorLets"

// repairList are ways to mend a log wrongly, and to overlook a loss.
var repairList = []Mutation{
	{
		Name: "a frame of another copy is taken whatever it continues",
		File: "engine/commitlog/repair.go",
		Old:  "		err = f.end.follows(&h)\n",
		New:  "		err = nil\n",
		Test: commitlogTests, Run: repairTests,
	},
	{
		Name: "frames of another copy need not be those before the next one",
		File: "engine/commitlog/repair.go",
		Old:  "case err == nil && (f.end.index != d.last || f.end.crc != d.lastCRC):",
		New:  "case err == nil && f.end.index > d.last:",
		Test: commitlogTests, Run: repairTests,
	},
	{
		Name: "a repaired block leaves readers what they had of it",
		File: "engine/commitlog/repair.go",
		Old:  "			l.history.forget(s.base(), 0)",
		New:  "			",
		Test: commitlogTests, Run: repairTests,
	},
	{
		Name: "damaged bytes aren't kept",
		File: "engine/commitlog/repair.go",
		Old:  "	if err := l.keepAside(r.Kept, old[d.from-begin:to-begin]); err != nil {\n		return err\n	}\n",
		New:  "",
		Test: commitlogTests, Run: repairTests,
	},
	{
		Name: "frames are laid one behind the other, wherever they stood",
		File: "engine/commitlog/layout.go",
		Old:  "		return []int64{at, aligned}\n",
		New:  "		return []int64{at}\n",
		Test: commitlogTests, Run: repairTests,
	},
	{
		Name: "a log without other copies is opened though durable frames are damaged",
		File: "engine/commitlog/recovery.go",
		Old:  "if verdict == verdictCorrupt && l.opts.Copies == nil {",
		New:  "if verdict == verdictCorrupt && l.opts.Copies == nil && len(r.Damaged) > 0 {",
		Test: commitlogTests, Run: repairTests + "|Refused|Corrupt|Durable",
	},
	{
		Name: "what was cut off though it was durable isn't noted",
		File: "engine/commitlog/loss.go",
		Old:  "	if !lost {\n		power",
		New:  "	if true {\n		power",
		Test: commitlogTests, Run: repairTests,
	},
	{
		Name: "a power cut passes for the end of a process",
		File: "engine/commitlog/loss.go",
		Old:  "	return running && (boot == [16]byte{} || boot != l.opts.Boot), err\n",
		New:  "	return running && boot == [16]byte{}, err\n",
		Test: commitlogTests, Run: repairTests,
	},
	{
		Name: "the end of a process passes for a power cut",
		File: "engine/commitlog/loss.go",
		Old:  "	return running && (boot == [16]byte{} || boot != l.opts.Boot), err\n",
		New:  "	_ = boot\n	return running, err\n",
		Test: commitlogTests, Run: repairTests,
	},
	{
		Name: "who may lack what it confirmed votes all the same",
		File: "replication/standing.go",
		Old:  "	return s.heard && !last.Before(s.best)\n",
		New:  "	return true\n",
		Test: "./replication", Run: standingTests,
	},
	{
		Name: "not all voters need be heard",
		File: "replication/standing.go",
		Old:  "	if silent {\n		return\n	}\n",
		New:  "	_ = silent\n",
		Test: "./replication", Run: standingTests,
	},
	{
		Name: "a leader is said to be caught up with at once",
		File: "replication/standing.go",
		Old:  "	if term == 0 || uint64(mark) < goal.Index {\n",
		New:  "	if term == 0 {\n		return true\n	}\n	if uint64(mark) < goal.Index {\n",
		Test: "./replication", Run: standingTests,
	},
	{
		Name: "a loss ends without a word in the log",
		File: "replication/loss.go",
		Old:  "	if err != nil {\n		return false\n	}\n	select {",
		New:  "	if err != nil || true {\n		return true\n	}\n	select {",
		Test: "./replication", Run: standingTests + "|TestASingleNodeThatLostPower|TestALossIsTold",
	},
	{
		Name: "a log that syncs by request leaves no note that it is open",
		File: "engine/commitlog/loss.go",
		Old:  "	return writeRunning(l.disk, l.seed, l.opts.Boot)\n",
		New:  "	return nil\n",
		Test: commitlogTests, Run: repairTests,
	},
}
