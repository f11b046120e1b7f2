package simtest

import (
	"reflect"

	"github.com/perfgate/perfgate/trantor/replica"
)

// footprint is roughly how many bytes each part of a replica holds in slices,
// maps and strings: whatever it may remember too much of. It looks at the
// replica's fields from outside, so no module can forget to count something.
func footprint(r *replica.Replica) map[string]int {
	parts := map[string]int{}
	v := reflect.ValueOf(r).Elem()
	for i := range v.NumField() {
		if v.Type().Field(i).Name == "Modules" {
			continue // The table of those that have fields of their own.
		}
		m := &measure{seen: map[uintptr]bool{}}
		m.add(v.Field(i))
		parts[v.Type().Field(i).Name] = m.bytes
	}
	return parts
}

// measure adds up what is reachable, each thing once.
type measure struct {
	seen  map[uintptr]bool
	bytes int
}

func (m *measure) add(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() && m.first(v.Pointer()) {
			m.add(v.Elem())
		}
	case reflect.Interface:
		m.add(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			m.add(v.Field(i))
		}
	case reflect.Array:
		m.addElements(v)
	case reflect.Slice:
		if v.Len() > 0 && m.first(v.Pointer()) {
			m.bytes += v.Len() * int(v.Type().Elem().Size())
			m.addElements(v)
		}
	case reflect.String:
		m.bytes += v.Len()
	case reflect.Map:
		m.addMap(v)
	}
}

// addElements looks into what can hold more.
func (m *measure) addElements(v reflect.Value) {
	switch v.Type().Elem().Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Struct, reflect.Array, reflect.Slice, reflect.String, reflect.Map:
		for i := range v.Len() {
			m.add(v.Index(i))
		}
	}
}

func (m *measure) addMap(v reflect.Value) {
	if v.IsNil() || !m.first(v.Pointer()) {
		return
	}
	m.bytes += v.Len() * int(v.Type().Key().Size()+v.Type().Elem().Size())
	for it := v.MapRange(); it.Next(); {
		m.add(it.Key())
		m.add(it.Value())
	}
}

func (m *measure) first(p uintptr) bool {
	if m.seen[p] {
		return false
	}
	m.seen[p] = true
	return true
}
