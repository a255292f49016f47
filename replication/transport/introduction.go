package transport

// Introduction answers those who ask who a node is, while it has no Transport:
// because it has no log, or doesn't know yet whether it may lead.
type Introduction struct {
	network *Network
	self    Hello
}

// Introduce answers for a group until End.
func (n *Network) Introduce(self Hello) *Introduction {
	i := &Introduction{network: n, self: self}
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

func (i *Introduction) greet(Hello) (Hello, error) { return i.self, nil }

func (i *Introduction) serve(*conn, Hello) {}
