package access

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Rules are what a file says. They don't change.
type Rules struct {
	white    addresses
	accounts map[string]*account
}

// account is one entry of a file.
type account struct {
	key    string
	signer *signer
	white  addresses
	admin  bool
	topics map[string]permission
	groups map[string]permission
	topic  permission // of topics that topics doesn't name
	group  permission
	listed bool // topics or groups names something
}

// file is plain_acl.yml.
type file struct {
	White    []string      `yaml:"globalWhiteRemoteAddresses"`
	Accounts []fileAccount `yaml:"accounts"`
	Version  yaml.Node     `yaml:"dataVersion"` // of RocketMQ's own tools
}

type fileAccount struct {
	AccessKey    string   `yaml:"accessKey"`
	SecretKey    string   `yaml:"secretKey"`
	White        string   `yaml:"whiteRemoteAddress"`
	Admin        bool     `yaml:"admin"`
	DefaultTopic string   `yaml:"defaultTopicPerm"`
	DefaultGroup string   `yaml:"defaultGroupPerm"`
	Topics       []string `yaml:"topicPerms"`
	Groups       []string `yaml:"groupPerms"`
}

const (
	// fileBytesMax bounds a file.
	fileBytesMax = 4 << 20
	// keyBytesMin is RocketMQ's: shorter keys are refused.
	keyBytesMin = 7
	keyBytesMax = 1024
)

// ParseRules reads a plain_acl.yml. Keys that mean nothing here are refused: a
// misspelt rule must not pass for none.
func ParseRules(text []byte) (*Rules, error) {
	if len(text) > fileBytesMax {
		return nil, fmt.Errorf("%d bytes, at most %d are allowed", len(text), fileBytesMax)
	}
	var f file
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	r := &Rules{accounts: make(map[string]*account, len(f.Accounts))}
	for _, pattern := range f.White {
		if err := r.white.add(pattern); err != nil {
			return nil, fmt.Errorf("globalWhiteRemoteAddresses: %w", err)
		}
	}
	for i := range f.Accounts {
		a, err := f.Accounts[i].parse()
		if err != nil {
			return nil, fmt.Errorf("account %d, accessKey %q: %w", i+1, f.Accounts[i].AccessKey, err)
		}
		if r.accounts[a.key] != nil {
			return nil, fmt.Errorf("account %d: accessKey %q stands there twice", i+1, a.key)
		}
		r.accounts[a.key] = a
	}
	if len(f.White) == 0 && len(f.Accounts) == 0 {
		return nil, errors.New("it names no account and no white address: nobody could do anything")
	}
	return r, nil
}

func (f *fileAccount) parse() (*account, error) {
	for name, key := range map[string]string{"accessKey": f.AccessKey, "secretKey": f.SecretKey} {
		if len(key) < keyBytesMin || len(key) > keyBytesMax {
			return nil, fmt.Errorf("%s has %d bytes, %d to %d are allowed", name, len(key), keyBytesMin, keyBytesMax)
		}
	}
	a := &account{key: f.AccessKey, signer: newSigner(f.SecretKey), admin: f.Admin,
		topics: map[string]permission{}, groups: map[string]permission{}, listed: len(f.Topics)+len(f.Groups) > 0}
	if err := a.white.add(f.White); err != nil {
		return nil, fmt.Errorf("whiteRemoteAddress: %w", err)
	}
	var err error
	if a.topic, err = parsePermission(f.DefaultTopic); err != nil {
		return nil, fmt.Errorf("defaultTopicPerm: %w", err)
	}
	if a.group, err = parsePermission(f.DefaultGroup); err != nil {
		return nil, fmt.Errorf("defaultGroupPerm: %w", err)
	}
	for _, entry := range f.Topics {
		if err := a.grant(entry, false); err != nil {
			return nil, fmt.Errorf("topicPerms: %w", err)
		}
	}
	for _, entry := range f.Groups {
		if err := a.grant(entry, true); err != nil {
			return nil, fmt.Errorf("groupPerms: %w", err)
		}
	}
	return a, nil
}

// grant takes in an entry like name=PUB|SUB.
func (a *account) grant(entry string, group bool) error {
	name, text, ok := strings.Cut(entry, "=")
	if name = strings.TrimSpace(name); !ok || name == "" {
		return fmt.Errorf("%q is not of the form name=permission", entry)
	}
	p, err := parsePermission(text)
	if err != nil {
		return err
	}
	r := groupNamed([]byte(name))
	if !group {
		r = topicNamed([]byte(name))
	}
	of := a.topics
	if r.group {
		of = a.groups
	}
	if _, twice := of[string(r.name)]; twice {
		return fmt.Errorf("%v stands there twice", r)
	}
	of[string(r.name)] = p
	return nil
}

// Open reports whether the rules let everybody in, from wherever and without a
// signature.
func (r *Rules) Open() bool { return r.white.all }

// traceTopic is where clients send what they trace: any account may, unless it
// says otherwise.
const traceTopic = "RMQ_SYS_TRACE_TOPIC"

// permits checks a need of an account.
func (a *account) permits(r resource, needed permission) error {
	of, p := a.topics, a.topic
	if r.group {
		of, p = a.groups, a.group
	}
	if !r.group && string(r.name) == traceTopic {
		p |= pub
	}
	if named, ok := of[string(r.name)]; ok {
		p = named
	}
	if p&needed == 0 {
		return fmt.Errorf("accessKey %s has no permission for %v: %v is needed", a.key, r, needed)
	}
	return nil
}
