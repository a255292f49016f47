package baseline

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apogeemq/apogee/bench/load"
	"github.com/apogeemq/apogee/bench/process"
	"github.com/apogeemq/apogee/server/access"
	"github.com/apogeemq/apogee/server/remoting"
)

const (
	groupNodes = 3
	// Where the ports of a node are in those of its group.
	nodePortsEach     = 20
	replicationPortAt = 15
	groupName         = "baseline-a"
)

// node is where one of a group's nodes runs.
func (at place) node(number int) place {
	return place{dir: filepath.Join(at.dir, "n"+strconv.Itoa(number)), port: at.port + nodePortsEach*number, flush: at.flush}
}

// groupSettings are DLedger's keys for a node, which Apogee takes as well.
func groupSettings(at place, number int) []string {
	var peers []string
	for i := range groupNodes {
		peers = append(peers, fmt.Sprintf("n%d-%s", i, loopback(at.node(i).port+replicationPortAt)))
	}
	return []string{"enableDLegerCommitLog=true", "dLegerGroup=" + groupName, "dLegerPeers=" + strings.Join(peers, ";"), "dLegerSelfId=n" + strconv.Itoa(number)}
}

// startDLedger starts three of RocketMQ's brokers with one log.
func (o *Options) startDLedger(ctx context.Context, i *instance, at place) (time.Time, error) {
	if err := o.startNameserver(ctx, i, at); err != nil {
		return time.Time{}, err
	}
	began := time.Now()
	for number := range groupNodes {
		node := at.node(number)
		err := o.startBroker(i, fmt.Sprintf("broker%d.out", number), node, brokerConfig(node, i.nameserver, groupSettings(at, number)...))
		if err != nil {
			return began, err
		}
		i.join(loopback(node.port + brokerPortAt))
	}
	return began, nil
}

// startGroup starts three of Apogee's servers with one log. The first one runs
// the nameserver.
func (o *Options) startGroup(_ context.Context, i *instance, at place) (time.Time, error) {
	i.nameserver = loopback(at.port + nameserverPortAt)
	began := time.Now()
	for number := range groupNodes {
		node := at.node(number)
		more := append(groupSettings(at, number), "brokerName="+groupName)
		if number > 0 {
			more = append(more, "namesrvEnable=false", "namesrvAddr="+i.nameserver)
		}
		if err := i.add(fmt.Sprintf("apogee%d.out", number), o.apogeeArguments(o.Apogee, node, more...)...); err != nil {
			return began, err
		}
		i.join(loopback(node.port + brokerPortAt))
	}
	return began, nil
}

// join makes the process that was added last a node of the instance's group.
func (i *instance) join(address string) {
	if i.members == nil {
		i.members = map[string]*process.Process{}
	}
	i.members[address] = i.server()
}

// wake lets the server go on. A group may need a new leader, as time went by for
// its nodes.
func (i *instance) wake(ctx context.Context) error {
	if err := i.resume(); err != nil || i.members == nil {
		return err
	}
	if err := sleep(ctx, electionTime); err != nil {
		return err
	}
	return i.await(ctx, i.findLeader)
}

// electionTime is longer than a group that was stopped and goes on needs to find
// out and to elect: who leads in the first moment may not a moment later.
const electionTime = 3 * time.Second

var errNoMaster = errors.New("the nameserver knows no master that takes messages")

// findLeader has the load go to the group's leader, and its process be the one
// that is measured. It is an error when no leader takes messages.
func (i *instance) findLeader(ctx context.Context) error {
	address, err := askMaster(ctx, i.nameserver)
	if err != nil {
		return err
	}
	if i.members[address] == nil {
		return fmt.Errorf("%w: it tells of %q", errNoMaster, address)
	}
	if err := load.CreateTopic(ctx, access.Client{}, address, probeTopic, 1); err != nil {
		return err
	}
	storedBy, err := probe(ctx, address)
	if err != nil {
		return err
	}
	if storedBy != address {
		return fmt.Errorf("%w: %s passes messages on to %s", errNoMaster, address, storedBy)
	}
	i.lead(address)
	return nil
}

// lead makes the node at an address the one that is measured.
func (i *instance) lead(address string) {
	leader := i.members[address]
	i.address = address
	i.processes = append(slices.DeleteFunc(i.processes, func(p *process.Process) bool { return p == leader }), leader)
}

// call sends one request to an address.
func call(ctx context.Context, address string, r *remoting.Request) (*remoting.Command, error) {
	const patience = 3 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := remoting.Dial(ctx, address, remoting.ClientOptions{Logger: slog.New(slog.DiscardHandler), CallTimeout: patience})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	reply, err := c.Call(ctx, r)
	if err == nil && reply.Code != remoting.ResponseSuccess {
		err = fmt.Errorf("%w: %s answers %d: %s", errNoMaster, address, reply.Code, reply.Remark)
	}
	return reply, err
}

func fields(pairs ...string) []remoting.TextField {
	var list []remoting.TextField
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, remoting.TextField{Key: pairs[i], Value: pairs[i+1]})
	}
	return list
}

// askMaster asks a nameserver for the master that has the topic of brokers that
// create topics by themselves.
func askMaster(ctx context.Context, nameserver string) (string, error) {
	reply, err := call(ctx, nameserver, &remoting.Request{Code: remoting.RequestGetRouteInfoByTopic,
		Header: fields("topic", "TBW102", "acceptStandardJsonOnly", "true")})
	if err != nil {
		return "", err
	}
	var route struct {
		Brokers []struct {
			Addresses map[string]string `json:"brokerAddrs"`
		} `json:"brokerDatas"`
	}
	if err := json.Unmarshal(reply.Body, &route); err != nil {
		return "", fmt.Errorf("%w: %w", errNoMaster, err)
	}
	for _, b := range route.Brokers {
		if master := b.Addresses["0"]; master != "" && !standsIn(b.Addresses, master) {
			return master, nil
		}
	}
	return "", errNoMaster
}

// standsIn reports whether a master in a route is a member that passes requests
// on while there is none: it has its own number, too.
func standsIn(addresses map[string]string, master string) bool {
	for id, address := range addresses {
		if id != "0" && address == master {
			return true
		}
	}
	return false
}

// probe stores a message, and returns the address of the broker that did. A
// follower of Apogee passes it on.
func probe(ctx context.Context, address string) (storedBy string, err error) {
	reply, err := call(ctx, address, &remoting.Request{Code: remoting.RequestSendMessageV2, Body: []byte("probe"),
		Header: fields("a", "baseline", "b", probeTopic, "c", "TBW102", "d", "1", "e", "0", "f", "0",
			"g", strconv.FormatInt(time.Now().UnixMilli(), 10), "h", "0", "i", "", "j", "0", "k", "false", "m", "false")})
	if err != nil {
		return "", err
	}
	return hostOf(reply.Text("msgId"))
}

// hostOf is the IPv4 address and port that a message id begins with.
func hostOf(id string) (string, error) {
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) != 16 {
		return "", fmt.Errorf("%w: a message has the id %q", errNoMaster, id)
	}
	port := binary.BigEndian.Uint32(raw[4:])
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(raw)), uint16(port)).String(), nil
}
