package node

import (
	"errors"
	"fmt"

	"github.com/apogeemq/apogee/engine/disk"
)

const (
	// ownerName is the file in the log's folder that says whose it is.
	ownerName     = "owner"
	ownerBytesMax = 4096
)

// errOtherOwner: the folder belongs to another broker.
var errOtherOwner = errors.New("folder of another broker")

// owner is what the file holds: the lines of a configuration file that name
// the broker.
func (c *Config) owner() string {
	return fmt.Sprintf("brokerClusterName=%s\nbrokerName=%s\n", c.ClusterName, c.BrokerName)
}

// checkOwner refuses the folder of another broker: it would announce that
// one's topics and messages under this one's name.
func checkOwner(d disk.Disk, c *Config) error {
	b, err := disk.ReadWhole(d, ownerName, ownerBytesMax)
	if errors.Is(err, disk.ErrNotFound) || err == nil && string(b) == c.owner() {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read whose folder this is: %w", err)
	}
	return fmt.Errorf("open %s: %w: it belongs to %q, the configuration says %q; set storePathRootDir to the folder of this broker, "+
		"or remove %s/%s to make it this broker's", d.Path(), errOtherOwner, b, c.owner(), d.Path(), ownerName)
}

// keepOwner writes the file where there is none. The lock of the log is held.
func keepOwner(d disk.Disk, c *Config) error {
	_, err := disk.ReadWhole(d, ownerName, ownerBytesMax)
	if errors.Is(err, disk.ErrNotFound) {
		return disk.WriteWhole(d, ownerName, []byte(c.owner()))
	}
	return err
}
