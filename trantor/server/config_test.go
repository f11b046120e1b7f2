package server

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	trantornet "github.com/perfgate/perfgate/trantor/net"
	"github.com/perfgate/perfgate/trantor/replica"
)

const minimal = `version: 1
system: shop
node: 0
key: node.key
listen: {replicas: "127.0.0.1:1"}
members:
  - {node: 0, weight: 1, key: "ed25519:0000000000000000000000000000000000000000000000000000000000000000", replicas: "127.0.0.1:1"}
`

func TestWhatIsNotWrittenHasADefault(t *testing.T) {
	cfg, err := Parse("f", []byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Application != "kv" || cfg.Listen.Admin != "127.0.0.1:0" || cfg.Listen.Clients != "" || cfg.Pprof ||
		cfg.Limits != DefaultLimits() || cfg.Net != trantornet.DefaultLimits() || !reflect.DeepEqual(cfg.Params, replica.DefaultParams(1)) {
		t.Errorf("got %+v", cfg)
	}
}

// Every setting of the replica and every limit is a key, whatever is added.
func TestEverySettingCanBeWritten(t *testing.T) {
	for section, sample := range map[string]reflect.Value{
		"params": reflect.ValueOf(replica.DefaultParams(1)), "limits": reflect.ValueOf(DefaultLimits()),
		"net": reflect.ValueOf(trantornet.DefaultLimits()),
	} {
		for i := range sample.NumField() {
			field := sample.Type().Field(i)
			value := "7"
			switch {
			case field.Type == reflect.TypeFor[time.Duration]():
				value = "7s"
			case field.Type.Kind() == reflect.Bool:
				value = fmt.Sprint(!sample.Field(i).Bool())
			}
			cfg, err := parse("f", fmt.Appendf(nil, "%s%s: {%s: %s}\n", minimal, section, keyOf(field.Name), value))
			if err != nil {
				t.Errorf("%s.%s: %v", section, keyOf(field.Name), err)
				continue
			}
			got := reflect.ValueOf(cfg.Params)
			switch section {
			case "limits":
				got = reflect.ValueOf(cfg.Limits)
			case "net":
				got = reflect.ValueOf(cfg.Net)
			}
			if text := fmt.Sprint(got.Field(i).Interface()); text != value {
				t.Errorf("%s.%s is %s, want %s", section, keyOf(field.Name), text, value)
			}
		}
	}
}

func TestMistakesAreNamedWithTheirLine(t *testing.T) {
	for want, text := range map[string]string{
		"f:1: the file is empty":                                                    "",
		"f:8: the file: unknown key \"colour\"":                                     minimal + "colour: red\n",
		"f:8: the file: key \"system\" comes twice":                                 minimal + "system: again\n",
		"f:8: params: want keys with values":                                        minimal + "params: fast\n",
		"f:8: pprof: \"maybe\" is no true or false":                                 minimal + "pprof: maybe\n",
		"f:8: limits.drain: \"5\" is no duration":                                   minimal + "limits: {drain: 5}\n",
		"f:8: limits.clients: \"99999999999999999999\" is no whole number in range": minimal + "limits: {clients: 99999999999999999999}\n",
		"f:7: members[0].key: public key \"x\"":                                     strings.Replace(minimal, "ed25519:"+strings.Repeat("0", 64), "x", 1),
		"f:7: members[0].weight: \"-1\" is no whole number":                         strings.Replace(minimal, "weight: 1", "weight: -1", 1),
		"f:6: members: replica 0 has weight 0":                                      strings.Replace(minimal, "weight: 1", "weight: 0", 1),
		"f:6: members: number 1 is replica 3":                                       strings.Replace(minimal, "{node: 0", "{node: 3", 1),
		"f:5: listen.replicas: \"nowhere\" is no host:port":                         strings.Replace(minimal, "{replicas: \"127.0.0.1:1\"}\n", "{replicas: nowhere}\n", 1),
		"f:8: application: \"bank\": want kv or chain":                              minimal + "application: bank\n",
		"f:4: key: it names no file":                                                strings.Replace(minimal, "key: node.key", "key: ''", 1),
		"f:9: limits.in-flight: 0, want 1 or more":                                  minimal + "limits:\n  in-flight: 0\n",
		"f:8: params: replica: ViewTimeout is 0s":                                   minimal + "params: {view-timeout: 0s}\n",
		"f:8: net: HoldMax is 0s, want more than 0":                                 minimal + "net: {hold-max: 0s}\n",
		"f:1: system: 0 bytes":                                                      strings.Replace(minimal, "system: shop\n", "", 1),
		"f:8: a second document":                                                    minimal + "---\nversion: 1\n",
		"f:8: system: want one value":                                               strings.Replace(minimal, "system: shop\n", "", 1) + "system:\n  - shop\n",
	} {
		if _, err := Parse("f", []byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

func FuzzParseNeverPanics(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add([]byte("params: {batch-timeout: 1s}\n"))
	f.Add([]byte("a: &x [*x]\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		cfg, err := Parse("f", b)
		if err == nil && cfg.Check() != nil {
			t.Errorf("%q is accepted, and does not check", b)
		}
	})
}
