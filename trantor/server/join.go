package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/perfgate/perfgate/trantor/crypto"
	"github.com/perfgate/perfgate/trantor/types"
)

// Join writes the key, the configuration file and the store of a replica that is to join a
// system, below dir, and returns how others reach it. From is the configuration
// file of any replica of the system: the new one has the same genesis and
// settings. Addresses that listen leaves out get free ports of this machine. It
// overwrites nothing.
func Join(from, dir string, id types.NodeID, listen Listen) (Member, error) {
	cfg, err := Load(from)
	if err != nil {
		return Member{}, err
	}
	if int(id) < len(cfg.Members) {
		return Member{}, fmt.Errorf("replica %d is a member from the beginning; want %d or more", id, len(cfg.Members))
	}
	if err := listen.fill(); err != nil {
		return Member{}, err
	}
	text, err := joinText(from, id, listen)
	if err != nil {
		return Member{}, err
	}
	path := ConfigPath(dir, id)
	// Before anything is written: a key beside no configuration would be in the way
	// of the next try.
	if _, err := Parse(path, []byte(text)); err != nil {
		return Member{}, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return Member{}, err
	}
	key, err := crypto.GenerateKey(filepath.Join(filepath.Dir(path), KeyFile))
	if err != nil {
		return Member{}, err
	}
	m := Member{Node: id, Weight: 1, Key: crypto.PublicKey(key), Replicas: listen.Replicas, Clients: listen.Clients}
	return m, writeConfig(path, text)
}

func (l *Listen) fill() error {
	ports, err := FreePorts(3)
	if err != nil {
		return err
	}
	for i, addr := range []*string{&l.Replicas, &l.Clients, &l.Admin} {
		if *addr == "" {
			*addr = "127.0.0.1:" + strconv.Itoa(ports[i])
		}
	}
	return nil
}

// joinText is a configuration file with another replica's identity. All else,
// comments included, stays as it is.
func joinText(from string, id types.NodeID, listen Listen) (string, error) {
	data, err := os.ReadFile(from)
	if err != nil {
		return "", err
	}
	doc, err := parser{name: from}.document(data)
	if err != nil {
		return "", err
	}
	var addrs yaml.Node
	if err := addrs.Encode(map[string]string{"replicas": listen.Replicas, "clients": listen.Clients, "admin": listen.Admin}); err != nil {
		return "", err
	}
	found := 0
	for i := 0; i+1 < len(doc.Content); i += 2 {
		value := doc.Content[i+1]
		switch doc.Content[i].Value {
		case "node":
			value.Value = strconv.FormatUint(uint64(id), 10)
		case "key":
			value.Value = KeyFile
		case "data":
			value.Value = dataDir
		case "listen":
			*value = addrs
		default:
			continue
		}
		found++
	}
	if found < 3 {
		return "", errors.New(from + ": it does not set node, key and listen")
	}
	doc.HeadComment = fmt.Sprintf("# Replica %d, made after the file of another one. See docs/OPERATIONS.md.", id)
	doc.Content[0].HeadComment = ""
	text, err := yaml.Marshal(doc)
	return string(text), err
}
