package rocketmq

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Version is what pom.xml names.
const Version = "5.5.0"

//go:embed pom.xml
var pom []byte

// Fetch copies the jars into the cache unless they are there, and returns their
// directory.
func Fetch(ctx context.Context, cache string) (string, error) {
	dir, err := filepath.Abs(filepath.Join(cache, Version))
	if err != nil {
		return "", fmt.Errorf("fetch RocketMQ: %w", err)
	}
	jars := filepath.Join(dir, "lib")
	if _, err := os.Stat(jars); err == nil {
		return jars, nil
	}
	if _, err := exec.LookPath("mvn"); err != nil {
		return "", fmt.Errorf("fetch RocketMQ: %w: install Maven, or leave out what needs RocketMQ", err)
	}
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "pom.xml"), pom, 0o644)); err != nil {
		return "", fmt.Errorf("fetch RocketMQ: %w", err)
	}
	own, err := os.MkdirTemp(dir, "part") // others may fetch at the same time
	if err != nil {
		return "", fmt.Errorf("fetch RocketMQ: %w", err)
	}
	defer os.RemoveAll(own)
	part := filepath.Join(own, "lib")
	mvn := exec.CommandContext(ctx, "mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+part)
	mvn.Dir = dir
	if output, err := mvn.CombinedOutput(); err != nil {
		return "", fmt.Errorf("fetch RocketMQ with Maven: %w\n%s", err, output)
	}
	// Only a complete set of jars gets the name that is looked for.
	if err := os.Rename(part, jars); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("fetch RocketMQ: %w", err)
	}
	return jars, nil
}

// JavaVersion is the first line of what java tells about itself.
func JavaVersion(ctx context.Context) (string, error) {
	output, err := exec.CommandContext(ctx, "java", "-version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("run java: %w: install a Java runtime, or leave out what needs it", err)
	}
	line, _, _ := strings.Cut(string(output), "\n")
	return strings.TrimSpace(line), nil
}
