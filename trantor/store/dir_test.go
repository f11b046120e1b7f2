package store

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/perfgate/perfgate/trantor/types"
)

// A directory whose name is lost with the power is a new one after it, and a
// replica with a new store votes again.
func TestTheFoldersThatAStoreMakesSurviveACrash(t *testing.T) {
	const deep = "var/lib/replica"
	fs := vfs.NewCrashableMem()
	s, err := Open(Options{Dir: deep, Identity: owner, fs: fs})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(types.Persist{Puts: []types.Record{{Key: []byte("vote"), Value: []byte("yes")}}}); err != nil {
		t.Fatal(err)
	}
	crashed := fs.CrashClone(vfs.CrashCloneCfg{}) // Loses whatever is not synced.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = Open(Options{Dir: deep, Identity: owner, fs: crashed})
	if err != nil {
		t.Fatal(err)
	}
	records, err := s.Records()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if len(records) != 1 {
		t.Fatalf("after the crash there are %d records, want the one that was durable", len(records))
	}
}
