package transport

// Introduction answers those who ask who a node is, while it has no Transport:
// because it has no log, or doesn't know yet whether it may lead.
type Introduction struct {
	network *Network
	self    Hello
	joins   func(Hello) // told who asks to be given the log; nil: nobody is
}

// Introduce answers for a group until End.
func (n *Network) Introduce(self Hello) *Introduction { return n.Await(self, nil) }

// Await answers like Introduce and tells who asks to be given the log.
func (n *Network) Await(self Hello, joins func(Hello)) *Introduction {
	i := &Introduction{network: n, self: self, joins: joins}
	n.mu.Lock()
	n.groups[self.Group] = i
	n.mu.Unlock()
	return i
}

// End answers no more.
func (i *Introduction) End() {
	i.network.mu.Lock()
	defer i.network.mu.Unlock()
	if i.network.groups[i.self.Group] == greeter(i) {
		delete(i.network.groups, i.self.Group)
	}
}

func (i *Introduction) greet(peer Hello) (Hello, error) {
	if peer.Joins && i.joins != nil {
		i.joins(peer)
	}
	return i.self, nil
}

func (i *Introduction) serve(*conn, Hello) {}
