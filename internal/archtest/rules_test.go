package archtest

const module = "github.com/perfgate/perfgate"

// protocolModules are pure transitions: events in, events out.
var protocolModules = []string{
	"trantor/mempool",
	"trantor/availability",
	"trantor/ordering",
	"trantor/checkpoint",
	"trantor/statetransfer",
	"trantor/delivery",
}

// deterministic packages give the same output for the same input on every run:
// the protocol modules with what they are made of, and the gate's pure stages,
// so that a bundle gives the same bytes wherever it is read again.
var deterministic = append([]string{
	"trantor/types",
	"trantor/quorum",
	"trantor/app",
	"trantor/replica",
	"gate/compare",
	"gate/verdict",
	"gate/profdiff",
	"gate/culprit",
	"gate/flame",
	"gate/bottleneck",
	"gate/report",
	"gate/artifact",
}, protocolModules...)

var determinism = Determinism{
	Forbidden: []string{"math/rand", "crypto/rand", "os", "net", "sync", "runtime", "syscall", "unsafe", "plugin"},
}

// What groups of packages may import, named once.
var (
	xperf     = "golang.org/x/perf"
	golden    = "internal/golden"
	protocol  = []string{"mir", "trantor/types", "trantor/quorum", "trantor/crypto"}
	modules   = []string{"trantor/mempool", "trantor/availability", "trantor/ordering/iss", "trantor/ordering/pbft", "trantor/checkpoint", "trantor/statetransfer", "trantor/delivery", "trantor/app"}
	underTest = join(protocol, modules, "mir/sim", "mir/eventlog", "mir/instrument", "trantor/net", "trantor/client", "trantor/client/wire", "trantor/store", "trantor/store/simdisk", "trantor/replica", "trantor/server", "trantor/cluster", "trantor/simtest", "benchsuite/workload")
	wholeGate = []string{"gate/config", "gate/repo", "gate/machine", "gate/measure", "gate/recording", "gate/baseline", "gate/trend", "gate/compare", "gate/verdict", "gate/calibrate", "gate/profdiff", "gate/culprit", "gate/bottleneck", "gate/report", "gate/suite", "gate/artifact", "gate/actions"}
)

var rules = Rules{
	Module:  module,
	Guarded: []string{"net", "net/http", "net/rpc", "crypto/tls", "os/exec"},
	Owners: map[string][]string{
		xperf:                             {"gate/compare", "gate/recording", "gate/baseline"},
		"github.com/google/pprof/profile": {"gate/profdiff", "gate/bottleneck", "gate/recording"},
		"github.com/google/pprof/driver":  {"gate/cli"},
		"github.com/google/go-github":     {"gate/github"},
		"google.golang.org/grpc":          {"trantor/net", "trantor/server", "trantor/client", "trantor/client/wire"},
		"github.com/cockroachdb/pebble":   {"trantor/store"},
		"github.com/prometheus":           {"trantor/server"},
		"gocloud.dev":                     {"gate/baseline"},
		"github.com/aws":                  {"gate/baseline"},
		// The last two parse URLs; the network itself is not in their lists.
		"net":      {"trantor/net", "trantor/server", "trantor/client", "gate/github", "gate/github/githubtest", "gate/baseline", "gate/config"},
		"net/http": {"gate/github", "gate/github/githubtest", "gate/report/serve", "trantor/server"},
		"os/exec":  {"gate/measure", "gate/repo", "trantor/cluster", "cmd/trantor", "internal/attribution"},
	},
	Apart: [][2]string{
		{"gate", "mir"},
		{"gate", "trantor"},
		{"gate", "benchsuite"},
		{"cmd/perfgate", "mir"},
		{"cmd/perfgate", "trantor"},
		{"cmd/perfgate", "benchsuite"},
		{"cmd/trantor", "gate"},
		{"samples", "gate"},
		{"samples", "benchsuite"},
	},
	Siblings: protocolModules,
	Packages: map[string]Rule{
		"cmd/perfgate": {
			Imports: []string{"gate/cli"},
			Tests:   []string{golden, "github.com/rogpeppe/go-internal", "gate/recording", "gate/config", "gate/verdict", "os/exec"},
		},
		"cmd/trantor": {Imports: join(underTest, "os/exec"), Tests: []string{golden, "github.com/rogpeppe/go-internal", "golang.org/x/sys"}},

		"gate":            {},
		"gate/cli":        {Imports: join(wholeGate, "gate/github", "gate/report/serve", "gate/flame", "github.com/google/pprof/driver", "golang.org/x/term"), Tests: []string{golden, "go.yaml.in/yaml/v3", "gate/github/githubtest", "net/http"}},
		"gate/config":     {Imports: []string{"go.yaml.in/yaml/v3"}},
		"gate/repo":       {Imports: []string{"gate/recording", "os/exec"}},
		"gate/machine":    {Imports: []string{"gate/recording", "golang.org/x/sys"}},
		"gate/recording":  {Imports: []string{"gate/config", xperf, "github.com/google/pprof"}},
		"gate/measure":    {Imports: []string{"gate/config", "gate/repo", "gate/machine", "gate/recording", "golang.org/x/sys", "os/exec"}, Tests: []string{golden}},
		"gate/baseline":   {Imports: []string{"gate/recording", xperf, "gocloud.dev", "github.com/aws", "golang.org/x/sys"}, Tests: []string{"gate/config", "os/exec", "net", "net/http"}},
		"gate/trend":      {Imports: []string{"gate/baseline", "gate/recording"}},
		"gate/compare":    {Imports: []string{"gate/recording", "gate/config", xperf}, Tests: []string{golden, "os/exec"}},
		"gate/verdict":    {Imports: []string{"gate/compare", "gate/config", "gate/recording"}, Tests: []string{golden}},
		"gate/calibrate":  {Imports: []string{"gate/compare", "gate/config", "gate/recording", "gate/verdict"}},
		"gate/profdiff":   {Imports: []string{"gate/recording", "github.com/google/pprof"}, Tests: []string{golden}},
		"gate/culprit":    {Imports: []string{"gate/profdiff", "gate/recording"}, Tests: []string{golden, "github.com/google/pprof"}},
		"gate/flame":      {Imports: []string{"gate/profdiff"}},
		"gate/bottleneck": {Imports: []string{"gate/profdiff", "gate/recording", "github.com/google/pprof"}, Tests: []string{golden}},
		"gate/report":     {Imports: []string{"gate/compare", "gate/config", "gate/culprit", "gate/recording", "gate/verdict"}, Tests: []string{golden, "gate/config", "github.com/yuin/goldmark"}},
		"gate/suite":      {Imports: []string{"gate/recording"}},

		"gate/artifact":          {Imports: []string{"gate/recording"}},
		"gate/actions":           {},
		"gate/github":            {Imports: []string{"net/http", "github.com/google/go-github"}, Tests: []string{"gate/github/githubtest", "net", "go.uber.org/goleak"}},
		"gate/github/githubtest": {Imports: []string{"net/http"}},
		"internal/e2e":           {Tests: []string{"gate/actions", "gate/github", "gate/github/githubtest", "gate/artifact", "gate/recording", "os/exec", "net", "net/http"}},

		"internal/archtest":    {Tests: []string{"os/exec"}},
		"internal/attribution": {Imports: []string{"gate/calibrate", "gate/compare", "gate/culprit", "gate/profdiff", "gate/recording", "gate/repo", "gate/verdict", "go.yaml.in/yaml/v3", "os/exec"}, Tests: []string{"github.com/google/pprof"}},
		"internal/golden":      {},

		"mir":            {Tests: []string{"mir/sim"}},
		"mir/dsl":        {Imports: []string{"mir"}, Tests: []string{"mir/sim"}},
		"mir/sim":        {Imports: []string{"mir"}},
		"mir/eventlog":   {Imports: []string{"mir"}, Tests: []string{"mir/sim"}},
		"mir/instrument": {Imports: []string{"mir"}},

		"trantor":               {},
		"trantor/types":         {Imports: []string{"mir", "trantor/quorum"}},
		"trantor/quorum":        {Imports: []string{"mir"}},
		"trantor/crypto":        {Imports: []string{"mir", "trantor/types", "trantor/quorum", "github.com/hdevalence/ed25519consensus"}},
		"trantor/app":           {Imports: []string{"mir", "trantor/types"}},
		"trantor/mempool":       {Imports: protocol, Tests: []string{golden, "mir/sim"}},
		"trantor/availability":  {Imports: protocol, Tests: []string{golden, "mir/sim"}},
		"trantor/ordering":      {Imports: protocol, Tests: []string{golden, "mir/sim"}},
		"trantor/ordering/pbft": {Imports: protocol, Tests: []string{golden, "mir/sim"}},
		"trantor/ordering/iss":  {Imports: join(protocol, "trantor/ordering", "trantor/ordering/pbft"), Tests: []string{golden, "mir/sim"}},
		"trantor/checkpoint":    {Imports: protocol, Tests: []string{golden, "mir/sim"}},
		"trantor/statetransfer": {Imports: protocol, Tests: []string{golden, "mir/sim"}},
		"trantor/delivery":      {Imports: join(protocol, "trantor/app"), Tests: []string{golden, "mir/sim"}},
		"trantor/net":           {Imports: join(protocol, "net", "crypto/tls", "google.golang.org/grpc", "golang.org/x/time"), Tests: []string{"go.uber.org/goleak"}},
		// Pebble itself is made of btreemap and xxhash.
		"trantor/store": {Imports: join(protocol, "github.com/cockroachdb/pebble", "github.com/RaduBerinde/btreemap", "github.com/cespare/xxhash"),
			Tests: []string{"trantor/store/simdisk", "go.uber.org/goleak"}},
		"trantor/store/simdisk": {Imports: protocol, Tests: []string{"mir/sim"}},
		"trantor/client":        {Imports: []string{"trantor/types", "trantor/quorum", "trantor/mempool", "trantor/client/wire", "google.golang.org/grpc"}, Tests: []string{"go.uber.org/goleak", "net"}},
		"trantor/client/wire":   {Imports: []string{"trantor/types", "trantor/mempool", "crypto/tls", "google.golang.org/grpc"}},
		"trantor/replica":       {Imports: join(protocol, modules), Tests: []string{golden, "mir/sim", "trantor/store/simdisk"}},
		"trantor/server":        {Imports: join(protocol, modules, "mir/instrument", "mir/eventlog", "trantor/net", "trantor/store", "trantor/replica", "trantor/client/wire", "net", "net/http", "crypto/tls", "google.golang.org/grpc", "github.com/prometheus", "go.yaml.in/yaml/v3"), Tests: []string{"trantor/client", "go.uber.org/goleak"}},
		"trantor/cluster":       {Imports: join(protocol, modules, "mir/sim", "mir/instrument", "mir/eventlog", "trantor/net", "trantor/store", "trantor/replica", "trantor/server", "trantor/client", "os/exec"), Tests: []string{golden, "go.uber.org/goleak"}},

		"trantor/simtest": {Imports: join(protocol, modules, "mir/sim", "trantor/replica", "trantor/store/simdisk"), Tests: []string{golden, "github.com/anishathalye/porcupine"}},

		"samples/bcb":  {Imports: []string{"mir", "mir/dsl"}, Tests: []string{"mir/sim"}},
		"samples/chat": {Imports: []string{"trantor/app", "trantor/cluster", "trantor/types"}},

		"benchsuite":          {Imports: underTest, Tests: join(underTest, []string{"os/exec"})},
		"benchsuite/micro":    {Imports: underTest, Tests: underTest},
		"benchsuite/macro":    {Imports: underTest, Tests: underTest},
		"benchsuite/workload": {Imports: underTest, Tests: underTest},
	},
}

// join flattens strings and lists of strings.
func join(parts ...any) []string {
	var all []string
	for _, part := range parts {
		switch part := part.(type) {
		case string:
			all = append(all, part)
		case []string:
			all = append(all, part...)
		}
	}
	return all
}
