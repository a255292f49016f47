package broker

import (
	"maps"
	"testing"

	"github.com/apogeemq/apogee/server/remoting/protocoltest"
)

func TestTheProtocolPageHasWhatIsAnswered(t *testing.T) {
	t.Parallel()
	protocoltest.CheckPage(t, "broker", maps.Keys((&Broker{}).dispatchTable()))
}
