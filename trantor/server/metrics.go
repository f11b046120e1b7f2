package server

import (
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/perfgate/perfgate/trantor/client/wire"
)

// namespace begins the name of every metric that is not Go's own.
const namespace = "trantor"

// newRegistry is everything that /metrics shows: the server's counters, those
// of all modules, and the Go runtime's.
func newRegistry(s *Server) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collector{s},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return registry
}

// collector turns what is counted anyway into metrics when it is asked.
//
// Modules count in structs of their own (replica.Stats and others), and what a
// field is named is what its metric is named: a counter that a module adds is
// shown without a change here. Rejected: a metric variable for each, which
// would have every module import the metrics library.
type collector struct{ server *Server }

// Describe implements prometheus.Collector: the metrics are not known before.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	m := metrics{out: out}
	c.collectServer(m)
	c.collectClients(m)
	c.collectNode(m)
	c.collectNet(m)
	m.fields("crypto", reflect.ValueOf(c.server.counting.Counts()))
	m.fields("store", reflect.ValueOf(c.server.store.stats()))
	if last := c.server.probe.last.Load(); last != nil {
		m.fields("", reflect.ValueOf(last.stats))
	}
}

func (c collector) collectServer(m metrics) {
	s := c.server
	m.gauge("ready", asFloat(s.admin.notReady() == nil))
	m.counter("delivered_transactions_total", float64(s.results.delivered.Load()))
	if stable := s.results.stable.Load(); stable != nil {
		m.gauge("stable_epoch", float64(stable.Epoch))
	}
}

func (c collector) collectClients(m metrics) {
	d := c.server.desk
	d.mu.Lock()
	defer d.mu.Unlock()
	inFlight := 0
	for s := range d.sessions {
		inFlight += s.inFlight
	}
	m.gauge("clients_connected", float64(len(d.sessions)))
	m.counter("clients_refused_total", float64(d.turned))
	m.gauge("clients_in_flight", float64(inFlight))
	m.gauge("clients_recent_results_bytes", float64(d.recent.bytes))
	for _, code := range wire.Codes() {
		m.counter("clients_answers_total", float64(d.counts[code]), "code", code.String())
	}
	if l := c.server.clients; l != nil {
		open, turned := l.counts()
		m.gauge("clients_connections", float64(open))
		m.counter("clients_connections_refused_total", float64(turned))
	}
}

func (c collector) collectNode(m metrics) {
	input := c.server.node.InputCounters()
	m.gauge("input_queued", float64(input.ClientQueued), "lane", "clients")
	m.gauge("input_queued", float64(input.ActiveQueued), "lane", "active")
	m.counter("input_pauses_total", float64(input.ClientPauses), "lane", "clients")
	m.counter("input_pauses_total", float64(input.ActivePauses), "lane", "active")
	m.gauge("input_client_holds", float64(input.ClientHolds))
	for _, module := range c.server.node.Counters() {
		m.counter("module_events_total", float64(module.Applied), "module", module.Name)
		m.gauge("module_queued", float64(module.In-module.Applied), "module", module.Name)
	}
}

func (c collector) collectNet(m metrics) {
	stats := c.server.transport.Stats()
	for _, p := range stats.Peers {
		m.fields("net_peer", reflect.ValueOf(p), "peer", strconv.FormatUint(uint64(p.Node), 10))
	}
	m.fields("net", reflect.ValueOf(stats))
}

// metrics makes metrics. Labels come as names and values in turn.
type metrics struct{ out chan<- prometheus.Metric }

func (m metrics) counter(name string, value float64, labels ...string) {
	m.emit(prometheus.CounterValue, name, value, labels)
}

func (m metrics) gauge(name string, value float64, labels ...string) {
	m.emit(prometheus.GaugeValue, name, value, labels)
}

func (m metrics) emit(kind prometheus.ValueType, name string, value float64, labels []string) {
	var names, values []string
	for i := 0; i < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	full := prometheus.BuildFQName(namespace, "", name)
	desc := prometheus.NewDesc(full, strings.ReplaceAll(name, "_", " ")+"; see docs/OPERATIONS.md.", names, nil)
	m.out <- prometheus.MustNewConstMetric(desc, kind, value, values...)
}

// fields makes a metric of each field of a struct, and of structs in it: an
// unsigned one of 64 bits counts, any other number or bool is a state, and what
// is neither is left out.
func (m metrics) fields(prefix string, v reflect.Value, labels ...string) {
	for i := range v.NumField() {
		field, f := v.Type().Field(i), v.Field(i)
		name := strings.TrimPrefix(prefix+"_"+snake(field.Name), "_")
		switch {
		case field.Anonymous:
			m.fields(prefix, f, labels...)
		case f.Kind() == reflect.Struct:
			m.fields(name, f, labels...)
		case f.Type() == reflect.TypeFor[time.Duration]():
			m.counter(name+"_seconds_total", time.Duration(f.Int()).Seconds(), labels...)
		case f.Type() == reflect.TypeFor[uint64]():
			m.counter(name+"_total", float64(f.Uint()), labels...)
		case f.CanUint() && len(labels) == 0:
			m.gauge(name, float64(f.Uint()), labels...)
		case f.CanInt():
			m.gauge(name, float64(f.Int()), labels...)
		case f.Kind() == reflect.Bool:
			m.gauge(name, asFloat(f.Bool()), labels...)
		}
	}
}

func asFloat(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// snake is a field's name as metrics are written: ViewChanges is view_changes,
// PBFTStats is pbft_stats.
func snake(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		if unicode.IsUpper(r) && i > 0 && (!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
