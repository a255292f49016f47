package conf

import (
	"fmt"
	"os"
	"strings"

	"github.com/magiconair/properties"
)

// NameserversVariable is the environment variable by which RocketMQ's brokers,
// tools and clients learn the nameservers' addresses.
const NameserversVariable = "NAMESRV_ADDR"

// BytesMax bounds a file.
const BytesMax = 1 << 20

// Read reads a file ("" for none) and then pairs of the form key=value, of
// which the last of a key wins.
func Read(path string, pairs []string) (map[string]string, error) {
	values := map[string]string{}
	if path != "" {
		var err error
		if values, err = readFile(path); err != nil {
			return nil, fmt.Errorf("read configuration %s: %w", path, err)
		}
	}
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		if key = strings.TrimSpace(key); !ok || key == "" {
			return nil, fmt.Errorf("configuration: %q is not of the form key=value", pair)
		}
		values[key] = value
	}
	return values, nil
}

func readFile(path string) (map[string]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > BytesMax {
		return nil, fmt.Errorf("it has %d bytes, at most %d are allowed", info.Size(), BytesMax)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(text)
}

// Parse reads Java properties. A ${…} stays as it is: values never come from
// elsewhere.
func Parse(text []byte) (map[string]string, error) {
	loader := properties.Loader{Encoding: properties.UTF8, DisableExpansion: true}
	p, err := loader.LoadBytes(text)
	if err != nil {
		return nil, err
	}
	return p.Map(), nil
}
