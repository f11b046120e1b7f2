package eventlog

import "github.com/perfgate/perfgate/mir"

// describer makes records of events, without time, node and origin.
type describer struct {
	codec   mir.Codec
	scratch []byte
}

// describe makes a record of ev. Its Body is valid until the next call.
func (d *describer) describe(ev mir.Event) Record {
	rec := Record{To: ev.To, Sub: ev.Sub, Event: ev.Body.EventName()}
	switch b := ev.Body.(type) {
	case mir.Send:
		rec.Carried = carried(b.Msg)
	case mir.Received:
		rec.Carried = carried(b.Msg)
		if d.encode(&rec, Received, b.Msg) {
			rec.From = b.From
			return rec
		}
	case mir.TimerDue:
		rec.Form, rec.Timer, rec.Set = Due, b.ID, b.Set
		return rec
	case mir.SetTimer, mir.CancelTimer: // The codec need not be asked.
	default:
		if d.encode(&rec, Message, ev.Body) {
			return rec
		}
	}
	rec.Body, rec.Truncated = summarize(d.scratch[:0], ev.Body)
	d.scratch = rec.Body
	return rec
}

// encode keeps the codec's bytes, if it knows the message and they are not too
// many. The codec is asked about every body, also such as it never meets on the
// wire. If it panics at one, that must not end a run which would have gone on
// unrecorded.
func (d *describer) encode(rec *Record, form Form, m mir.Message) (known bool) {
	defer func() {
		if recover() != nil {
			known = false
		}
	}()
	if m == nil {
		return false
	}
	wire, err := d.codec.Encode(d.scratch[:0], m)
	if err != nil {
		return false
	}
	if cap(wire) <= BufferBytes {
		d.scratch = wire
	}
	if len(wire) > BodyBytesMax {
		return false
	}
	rec.Form, rec.Body = form, wire
	return true
}

// carried is a message's name. An event without its message is the wiring's
// mistake, and not for a recorder to stumble over.
func carried(m mir.Message) string {
	if m == nil {
		return ""
	}
	return m.EventName()
}
