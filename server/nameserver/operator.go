package nameserver

import (
	"errors"
	"fmt"

	"github.com/apogeemq/apogee/server/remoting"
)

// maxPropertiesBytes bounds the text of UPDATE_NAMESRV_CONFIG.
const maxPropertiesBytes = 64 << 10

func (s *Server) putKeyValue(_ *remoting.Conn, cmd *remoting.Command, r *remoting.Reply) {
	if _, given := cmd.Get("value"); !given {
		refuse(r, remoting.ResponseSystemError, "value is missing")
		return
	}
	namespace, key := cmd.Text("namespace"), cmd.Text("key")
	if err := s.keyValues.put(namespace, key, cmd.Text("value")); err != nil {
		s.config.Log.Warn("nameserver: key-value configuration not changed", "namespace", clip(namespace), "key", clip(key), "cause", err)
		refuse(r, remoting.ResponseSystemError, err.Error())
		return
	}
	s.config.Log.Info("nameserver: key-value configuration changed", "namespace", namespace, "key", key)
}

func (s *Server) keyValue(_ *remoting.Conn, cmd *remoting.Command, r *remoting.Reply) {
	namespace, key := cmd.Text("namespace"), cmd.Text("key")
	value, ok := s.keyValues.get(namespace, key)
	if !ok {
		refuse(r, remoting.ResponseQueryNotFound, "No config item, Namespace: "+clip(namespace)+" Key: "+clip(key))
		return
	}
	r.SetText("value", value)
}

func (s *Server) deleteKeyValue(_ *remoting.Conn, cmd *remoting.Command, r *remoting.Reply) {
	namespace, key := cmd.Text("namespace"), cmd.Text("key")
	if err := s.keyValues.remove(namespace, key); err != nil {
		refuse(r, remoting.ResponseSystemError, err.Error())
		return
	}
	s.config.Log.Info("nameserver: key-value configuration deleted", "namespace", clip(namespace), "key", clip(key))
}

func (s *Server) keyValuesOf(_ *remoting.Conn, cmd *remoting.Command, r *remoting.Reply) {
	body, ok := s.keyValueTable(cmd.Text("namespace"))
	if !ok {
		refuse(r, remoting.ResponseQueryNotFound, "No config item, Namespace: "+clip(cmd.Text("namespace")))
		return
	}
	r.Body = body
}

// keyValueTable is a namespace as RocketMQ's KVTable, false when there is none.
func (s *Server) keyValueTable(namespace string) ([]byte, bool) {
	inside, ok := s.keyValues.namespace(namespace)
	if !ok {
		return nil, false
	}
	return append(appendTextMap([]byte(`{"table":`), inside, fastjson), '}'), true
}

// changeConfig takes the switches that may be changed. RocketMQ ignores keys
// that it doesn't know; here they are refused, so that a slip is noticed.
func (s *Server) changeConfig(_ *remoting.Conn, cmd *remoting.Command, r *remoting.Reply) {
	if len(cmd.Body) > maxPropertiesBytes {
		refuse(r, remoting.ResponseSystemError, fmt.Sprintf("configuration has %d bytes, at most %d are allowed", len(cmd.Body), maxPropertiesBytes))
		return
	}
	err := s.panel.change(string(cmd.Body))
	switch {
	case errors.Is(err, errFixed):
		refuse(r, remoting.ResponseNoPermission, err.Error())
	case err != nil:
		refuse(r, remoting.ResponseSystemError, err.Error())
	default:
		s.config.Log.Info("nameserver: configuration changed until the next start", "to", string(cmd.Body))
	}
}

func (s *Server) showConfig(_ *remoting.Conn, _ *remoting.Command, r *remoting.Reply) {
	r.Body = []byte(s.panel.describe(s.config.Properties))
}

// registerTopic takes the route of one topic from a broker that is known.
func (s *Server) registerTopic(_ *remoting.Conn, cmd *remoting.Command, r *remoting.Reply) {
	topic := cmd.Text("topic")
	queues, err := decodeQueues(cmd.Body)
	switch {
	case topic == "" || len(topic) > maxNameBytes:
		err = errors.New("topic must have 1 to 255 bytes")
	case err == nil:
		err = s.table.addTopic(topic, queues)
	}
	if err != nil {
		refuse(r, remoting.ResponseSystemError, err.Error())
	}
}
