package access

import (
	"errors"
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v3"
)

// ReadCredentials reads a file in the format of RocketMQ's conf/tools.yml: the
// keys accessKey and secretKey. Others in it have no effect.
func ReadCredentials(path string) (Credentials, error) {
	f, err := os.Open(path)
	if err != nil {
		return Credentials{}, fmt.Errorf("read credentials: %w", err)
	}
	defer f.Close()
	var c struct {
		AccessKey string `yaml:"accessKey"`
		SecretKey string `yaml:"secretKey"`
	}
	const bytesMax = 64 << 10
	text, err := io.ReadAll(io.LimitReader(f, bytesMax))
	if err == nil {
		err = yaml.Unmarshal(text, &c)
	}
	if err == nil && (c.AccessKey == "" || c.SecretKey == "") {
		err = errors.New("accessKey or secretKey is missing")
	}
	if err != nil {
		return Credentials{}, fmt.Errorf("read credentials %s: %w", path, err)
	}
	return Credentials{AccessKey: c.AccessKey, SecretKey: c.SecretKey}, nil
}
