package rocketmq

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestThePomNamesTheVersion(t *testing.T) {
	t.Parallel()
	for _, artifact := range []string{"rocketmq-broker", "rocketmq-namesrv", "rocketmq-client"} {
		if !strings.Contains(string(pom), "<artifactId>"+artifact+"</artifactId>\n      <version>"+Version+"</version>") {
			t.Errorf("%s %s is not in pom.xml", artifact, Version)
		}
	}
}

func TestRocketMQIsFetchedOnceAndOnlyWhole(t *testing.T) {
	cache := t.TempDir()
	bin := t.TempDir()
	mvn := func(text string) {
		if err := os.WriteFile(filepath.Join(bin, "mvn"), []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	mvn("mkdir -p part; echo cannot reach the registry; exit 1")
	if _, err := Fetch(t.Context(), cache); err == nil || !strings.Contains(err.Error(), "cannot reach the registry") {
		t.Fatalf("error %v", err)
	}
	mvn(`for last; do :; done; dir=${last#-DoutputDirectory=}; grep -q rocketmq-broker pom.xml && mkdir "$dir" && touch "$dir/a.jar"`)
	jars, err := Fetch(t.Context(), cache)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(jars, "a.jar")); err != nil {
		t.Error(err)
	}
	mvn("exit 1")
	if again, err := Fetch(t.Context(), cache); err != nil || again != jars {
		t.Errorf("the second time: %q, %v", again, err)
	}
}

// TestTwoThatFetchAtTheSameTimeBothGetTheJars: the one that ends last finds the
// name given.
func TestTwoThatFetchAtTheSameTimeBothGetTheJars(t *testing.T) {
	cache, bin := t.TempDir(), t.TempDir()
	script := `for last; do :; done; dir=${last#-DoutputDirectory=}; mkdir "$dir" lib && touch "$dir/a.jar" lib/a.jar`
	if err := os.WriteFile(filepath.Join(bin, "mvn"), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	jars, err := Fetch(t.Context(), cache)
	if err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(jars), "part*"))
	if _, missing := os.Stat(filepath.Join(jars, "a.jar")); missing != nil || err != nil || len(left) > 0 {
		t.Errorf("jars: %v; left behind: %q, %v", missing, left, err)
	}
}
