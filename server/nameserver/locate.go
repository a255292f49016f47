package nameserver

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/apogeemq/apogee/server/remoting"
)

// Fields that this nameserver adds to its answer to GET_BROKER_MEMBER_GROUP.
const (
	fieldHAAddress = "masterHAAddr"
	fieldTerm      = "masterTerm"
)

// haPortDistance lies between the ports of a RocketMQ broker for clients and for
// slaves.
const haPortDistance = 1

// Master is what a nameserver knows of the master of a broker name.
type Master struct {
	Address   string // for clients; empty where none is known
	HAAddress string // for slaves; empty where none is known
	// Term is the latest that a master was known in, 0 where the nameserver
	// hasn't heard of one, or is RocketMQ's, which doesn't tell.
	Term int64
}

// Locate asks a nameserver for the master of a broker name. RocketMQ's don't
// say where slaves connect to: then it is the port behind the one for clients.
func Locate(ctx context.Context, c *remoting.Client, cluster, brokerName string) (Master, error) {
	request := &remoting.Request{Code: remoting.RequestGetBrokerMemberGroup}
	request.Set("clusterName", cluster)
	request.Set("brokerName", brokerName)
	answer, err := c.Call(ctx, request)
	if err != nil {
		return Master{}, err
	}
	var m Master
	switch answer.Code {
	case remoting.ResponseSuccess:
		m.Address, err = masterInGroup(answer.Body)
		m.HAAddress = answer.Text(fieldHAAddress)
		m.Term, _ = answer.Int(fieldTerm)
	case remoting.ResponseRequestCodeNotSupported:
		m.Address, err = locateInCluster(ctx, c, brokerName)
	default:
		err = fmt.Errorf("nameserver answered %d: %s", answer.Code, answer.Remark)
	}
	if err == nil && m.Address != "" && m.HAAddress == "" {
		m.HAAddress, err = behind(m.Address)
	}
	return m, err
}

// locateInCluster asks a nameserver of before RocketMQ 5.
func locateInCluster(ctx context.Context, c *remoting.Client, brokerName string) (address string, err error) {
	answer, err := c.Call(ctx, &remoting.Request{Code: remoting.RequestGetBrokerClusterInfo})
	if err != nil {
		return "", err
	}
	if answer.Code != remoting.ResponseSuccess {
		return "", fmt.Errorf("nameserver answered %d: %s", answer.Code, answer.Remark)
	}
	s := &scanner{data: answer.Body}
	s.object(func(member string) {
		if member != "brokerAddrTable" {
			s.skip()
			return
		}
		s.object(func(name string) {
			if name != brokerName {
				s.skip()
				return
			}
			address = readMaster(s)
		})
	})
	return address, s.end()
}

// masterInGroup reads a BrokerMemberGroup.
func masterInGroup(body []byte) (address string, err error) {
	s := &scanner{data: body}
	s.object(func(member string) {
		if member != "brokerMemberGroup" {
			s.skip()
			return
		}
		address = readMaster(s)
	})
	return address, s.end()
}

// readMaster reads the master's address out of an object with brokerAddrs.
func readMaster(s *scanner) (address string) {
	s.object(func(member string) {
		if member != "brokerAddrs" {
			s.skip()
			return
		}
		s.object(func(id string) {
			if a := s.text(); id == strconv.Itoa(remoting.MasterID) {
				address = a
			}
		})
	})
	return address
}

func behind(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("the master's address %.64q: %w", address, err)
	}
	number, err := strconv.Atoi(port)
	if err != nil || number >= 65535 {
		return "", fmt.Errorf("the master's address %.64q has no port behind it", address)
	}
	return net.JoinHostPort(host, strconv.Itoa(number+haPortDistance)), nil
}
