package mutation

const brokerTests = "./server/broker"

// transactionList are ways to deliver a transaction's message twice or early.
var transactionList = []Mutation{
	{
		Name: "a commit doesn't end the half message, so that a second one is applied too",
		File: "server/broker/transactioncommit.go",
		Old:  "Queue: m.QueueID, Cause: handle,\n",
		New:  "Queue: m.QueueID,\n",
		Test: brokerTests, Run: "AHalfMessageIsInvisible",
	},
	{
		Name: "a commit is applied while another is on its way",
		File: "server/broker/settlement/settlement.go",
		Old:  "	if s.taken[handle] {\n",
		New:  "	if s.taken == nil {\n",
		Test: brokerTests, Run: "ASecondEnd",
	},
	{
		Name: "a half message is visible in its topic",
		File: "server/broker/half.go",
		Old:  "	d.Kind, d.Topic, d.Queue = event.KindHalf, half.ID, 0\n",
		New:  "	d.Kind = event.KindHalf\n",
		Test: brokerTests, Run: "AHalfMessageIsInvisible",
	},
	{
		Name: "a producer of another group ends a transaction",
		File: "server/broker/transaction.go",
		Old:  "string(h.properties.ProducerGroup) != e.group",
		New:  "e.group == \"\"",
		Test: brokerTests, Run: "AnEndThatIsNotOfThisMessage",
	},
	{
		Name: "a commit that can't be stored can't be sent again",
		File: "server/broker/transaction.go",
		Old:  "			t.broker.settlement.Withdraw(e.handle)\n",
		New:  "			_ = e.handle\n",
		Test: brokerTests, Run: "AnEndThatCannotBeStored",
	},
	{
		Name: "a send waits for the completion of another's proposal",
		File: "replication/proposer.go",
		Old:  "pr != nil && pr.Gathered && chosen(pr)",
		New:  "pr != nil && chosen(pr)",
		Test: "./replication", Run: "Gathered",
	},
}
