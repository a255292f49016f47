package mutation

const (
	logStoreTests = "./replication"
	leftovers     = "FullDisk|FillsUp|InVain"
)

// logStoreList is about the log as Raft's log store, term and vote.
var logStoreList = []Mutation{
	{
		Name: "StoreLogs returns before the entries are durable",
		File: "replication/logstore.go",
		Old:  "Index: event.Index(through)}, s.mark)",
		New:  "Index: 0}, s.mark)",
		Test: logStoreTests, Run: "PowerCuts",
	},
	{
		Name: "one append per entry",
		File: "replication/logstore.go",
		Old:  "	last, err := s.log.AppendAll(batches)\n",
		New:  "	var last commitlog.Ticket\n	for i := 0; i < len(batches) && err == nil; i++ {\n		last, err = s.log.Append(batches[i])\n	}\n",
		Test: logStoreTests, Run: "AppendedAsOne",
	},
	{
		Name: "what a full disk left behind is in the way",
		File: "replication/logstore.go",
		Old:  "	for len(entries) > 0 {\n		end, _, _ := s.log.End()\n",
		New:  "	for false {\n		end, _, _ := s.log.End()\n",
		Test: logStoreTests, Run: leftovers,
	},
	{
		Name: "what a full disk left behind passes for the entries of another leader",
		File: "replication/logstore.go",
		Old:  "		if there.Term != e.Term {\n",
		New:  "		if false {\n",
		Test: logStoreTests, Run: leftovers,
	},
	{
		Name: "entries that were refused count as stored",
		File: "replication/logstore.go",
		Old:  "	last, err := s.log.AppendAll(batches)\n",
		New:  "	s.told.Store(through)\n	last, err := s.log.AppendAll(batches)\n",
		Test: logStoreTests, Run: leftovers,
	},
	{
		Name: "entries that Raft deleted in vain are not there at all",
		File: "replication/logstore.go",
		Old:  "		s.told.Store(max(s.told.Load(), s.shortened))\n",
		New:  "",
		Test: logStoreTests, Run: leftovers,
	},
	{
		Name: "a suffix that is the whole log is left to retention",
		File: "replication/logstore.go",
		Old:  "	case last >= told:\n",
		New:  "	case last >= told && first > uint64(oldest):\n",
		Test: logStoreTests, Run: "LogStore|PowerCuts",
	},
	{
		Name: "the vote of an older term stands in the new one",
		File: "replication/stablestore.go",
		Old:  "candidate: v.votedIn(value)",
		New:  "candidate: v.candidate",
		Test: logStoreTests, Run: "Stable|Term|Vote",
	},
	{
		Name: "both copies of term and vote are written before either is synced",
		File: "replication/stablestore.go",
		Old:  "		if err == nil {\n			err = f.SyncData()\n",
		New:  "		if err == nil && at > 0 {\n			err = f.SyncData()\n",
		Test: logStoreTests, Run: "TermAndVote",
	},
	{
		Name: "the older copy of term and vote counts",
		File: "replication/stablestore.go",
		Old:  "	if v, err = decodeCopy(first, seed); err != nil {\n		v, err = decodeCopy(second, seed)\n",
		New:  "	if v, err = decodeCopy(second, seed); err != nil {\n		v, err = decodeCopy(first, seed)\n",
		Test: logStoreTests, Run: "TermAndVote",
	},
	{
		Name: "term and vote need space on a full disk",
		File: "replication/stablestore.go",
		Old:  "	if !s.placed {\n		return disk",
		New:  "	if true {\n		return disk",
		Test: logStoreTests, Run: "TermAndVote",
	},
	{
		Name: "a node with other voters decides alone",
		File: "replication/alone.go",
		Old:  "	case voters > 1:\n",
		New:  "	case voters > 99:\n",
		Test: logStoreTests, Run: "Alone",
	},
	{
		Name: "the term of a node that goes on alone isn't durable",
		File: "replication/stablestore.go",
		Old:  "	err := s.store(func(v *stableValues) {\n		term := v.term + 1\n",
		New:  "	err := error(nil)\n	func(change func(*stableValues)) { change(&s.values) }(func(v *stableValues) {\n		term := v.term + 1\n",
		Test: logStoreTests, Run: "Alone",
	},
}
