package baseline

// goal is a number to reach: a ratio, or an absolute value when against is
// empty.
type goal struct {
	title   string
	of      subject
	against subject
	limit   float64
	atMost  bool // the limit is an upper one
	// stricter goals are shown beside those that count: what they compare with
	// does less than any server that people would write.
	stricter bool
}

// The limits that Apogee is held to. Those for rates are lower ones.
const (
	floorRateSync  = 0.85 // of the group-commit floor
	floorRateAsync = 0.8  // of the floor that writes without sync
	ownSyncRate    = 0.65 // SYNC_FLUSH of ASYNC_FLUSH
	tailMost       = 0.4  // p99.9 of RocketMQ's
	cpuMost        = 0.2  // CPU per message of RocketMQ's
	residentMost   = 0.15 // memory of RocketMQ's
	batchRate      = 3    // of RocketMQ's
	pullRate       = 1.5  // of RocketMQ's
	startMost      = 0.3  // seconds
	idleMost       = 80   // MB
	coldRate       = 0.7  // of the own warm rate
	coldReadMost   = 1.5  // bytes from disk per byte delivered
	coldTailMost   = 2    // p99.9 of sends without readers
	restartMost    = 3    // seconds
	queues10k      = 0.9  // of the rate with 8 queues
	queues100k     = 0.8

	transactionRate = 3    // of RocketMQ's
	delayRate       = 2    // of RocketMQ's
	dueMost         = 5    // seconds until all are delivered
	dueTailMost     = 3    // p99.9 of sends without
	pendingMost     = 400  // MB
	otherRate       = 0.95 // of another build's
	otherCPUMost    = 1.05 // CPU per message of another build's

	dledgerRate   = 8   // of DLedger's
	groupOwnRate  = 0.4 // of the own rate without replicas
	leaderCPUMost = 2   // CPU per message of the own without replicas
)

// goals are all goals, in the order of the table.
var goals = allGoals()

func allGoals() []goal {
	var all []goal
	sync := []string{"sync1", "sync64", "sync256"}
	for _, name := range sync {
		all = append(all, least(name, Rate, Floor, floorRateSync), strict(name, floorRateSync))
	}
	for i, limit := range []float64{2, 3, 2.5} {
		all = append(all, least(sync[i], Rate, RocketMQ, limit))
	}
	for _, name := range sync {
		all = append(all, most(name, P999, RocketMQ, tailMost))
	}
	for _, name := range []string{"async1", "async64", "async256"} {
		all = append(all, least(name, Rate, Floor, floorRateAsync), strict(name, floorRateAsync))
	}
	all = append(all,
		least("async64", Rate, RocketMQ, 2.5), least("async256", Rate, RocketMQ, 2),
		goal{
			title:   "msg/s, 64 in flight: SYNC_FLUSH against its own ASYNC_FLUSH",
			of:      subject{"sync64", Apogee, Rate},
			against: subject{"async64", Apogee, Rate}, limit: ownSyncRate,
		},
		most("sync64", CPU, RocketMQ, cpuMost), most("async64", CPU, RocketMQ, cpuMost),
		least("batchsync", Rate, RocketMQ, batchRate), least("batchasync", Rate, RocketMQ, batchRate),
		least("pull", Rate, RocketMQ, pullRate),
		most("sync64", Resident, RocketMQ, residentMost), most("async64", Resident, RocketMQ, residentMost),
		least("transactions", Rate, RocketMQ, transactionRate),
		least("delaylevel", Rate, RocketMQ, delayRate), least("delaytime", Rate, RocketMQ, delayRate),
		within("pullcold", Rate, "pull", coldRate, "msg/s of a cold backlog against a warm one"),
		goal{title: "bytes read from disk per byte delivered, cold backlog", of: subject{"pullcold", Apogee, ReadPerByte}, limit: coldReadMost, atMost: true},
		upper(within("pacedcold", P999, "paced", coldTailMost, "p99.9 of sends while consumers read a cold backlog, against without")),
		within("queues10k", Rate, "queues8", queues10k, "msg/s, 10,000 queues as 1,250 topics × 8: against 8 queues"),
		within("queues10kwide", Rate, "queues8", queues10k, "msg/s, 10,000 queues as 10 topics × 1,000: against 8 queues"),
		within("queues100k", Rate, "queues8", queues100k, "msg/s, 100,000 queues as 12,500 topics × 8: against 8 queues"),
		within("queues100kwide", Rate, "queues8", queues100k, "msg/s, 100,000 queues as 100 topics × 1,000: against 8 queues"),
		goal{title: "seconds until 100,000 messages that become due at once are delivered", of: subject{"due", Apogee, DueSeconds}, limit: dueMost, atMost: true},
		goal{title: "messages of those delivered before their time", of: subject{"due", Apogee, Early}, atMost: true},
		goal{title: "p99.9 of 10,000 sends a second meanwhile, against without", of: subject{"due", Apogee, DueTail}, limit: dueTailMost, atMost: true},
		goal{title: "MB resident at most while messages are stored that wait", of: subject{"pending", Apogee, Resident}, limit: pendingMost, atMost: true},
		goal{title: "MB resident at rest after a start with them", of: subject{"pendingrestart", Apogee, IdleResident}, limit: pendingMost, atMost: true},
		goal{title: "seconds until a server with the backlog serves after kill -9", of: subject{"restart", Apogee, StartSeconds}, limit: restartMost, atMost: true},
		goal{title: "seconds until an empty server serves", of: subject{"start", Apogee, StartSeconds}, limit: startMost, atMost: true},
		goal{title: "MB resident at rest", of: subject{"start", Apogee, IdleResident}, limit: idleMost, atMost: true},
	)
	for _, name := range []string{"sync64", "sync256"} {
		all = append(all, groupGoals(name)...)
	}
	for _, name := range []string{"sync64", "sync256", "async64"} {
		all = append(all, least(name, Rate, Other, otherRate), most(name, CPU, Other, otherCPUMost))
	}
	return all
}

var measureNames = map[Measure]string{Rate: "msg/s", P999: "p99.9", CPU: "CPU per message", Resident: "resident memory"}

// least and most compare Apogee with another server in the same row.
func least(name string, m Measure, against string, limit float64) goal {
	return goal{
		title: measureNames[m] + ", " + titleOf(name) + ": against " + against,
		of:    subject{name, Apogee, m}, against: subject{name, against, m}, limit: limit,
	}
}

func most(name string, m Measure, against string, limit float64) goal {
	g := least(name, m, against, limit)
	g.atMost = true
	return g
}

// groupGoals compare a group of three with another one and with a broker by
// itself.
func groupGoals(name string) []goal {
	of := func(m Measure) subject { return subject{name, Group, m} }
	return []goal{
		{title: "msg/s of a group of three, " + titleOf(name) + ": against DLedger", of: of(Rate), against: subject{name, DLedger, Rate}, limit: dledgerRate},
		{title: "the same: against Apogee without replicas", of: of(Rate), against: subject{name, Apogee, Rate}, limit: groupOwnRate},
		{title: "CPU per message of its leader: against Apogee without replicas", of: of(CPU), against: subject{name, Apogee, CPU}, limit: leaderCPUMost, atMost: true},
	}
}

// strict is the goal for the floor that gathers answers.
func strict(name string, limit float64) goal {
	g := least(name, Rate, Gathered, limit)
	g.stricter = true
	return g
}

// within compares two of Apogee's own rows.
func within(name string, m Measure, against string, limit float64, title string) goal {
	return goal{title: title, of: subject{name, Apogee, m}, against: subject{against, Apogee, m}, limit: limit}
}

// upper makes the limit of a goal an upper one.
func upper(g goal) goal {
	g.atMost = true
	return g
}

func titleOf(name string) string {
	for _, r := range rows {
		if r.name == name {
			return r.title
		}
	}
	panic("BUG: a goal for row " + name + ", which does not exist")
}

// isRatio tells whether the goal compares two numbers.
func (g *goal) isRatio() bool { return g.against.row != "" }

// measured is the goal's number in a run.
func (g *goal) measured(r *Results) Spread {
	if g.isRatio() {
		return r.ratio(g.of, g.against)
	}
	return r.over(g.of)
}

// met judges the median.
func (g *goal) met(s Spread) bool {
	if g.atMost {
		return s.Median <= g.limit
	}
	return s.Median >= g.limit
}
