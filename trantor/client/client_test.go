package client_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/perfgate/perfgate/trantor/client"
	"github.com/perfgate/perfgate/trantor/client/wire"
	"github.com/perfgate/perfgate/trantor/mempool"
	"github.com/perfgate/perfgate/trantor/types"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a replica that answers as a test wants.
type fake struct {
	key    ed25519.PrivateKey
	addr   string
	server *grpc.Server
	wait   sync.WaitGroup

	mu        sync.Mutex
	submitted map[types.TxID]int
	watched   map[types.TxID]int
}

// behaviour gives the answers to one transaction.
type behaviour func(f *fake, id types.TxID, payload []byte, submitted bool) []wire.Answer

// honest accepts and delivers at once, as if all replicas had agreed.
func honest(_ *fake, id types.TxID, _ []byte, submitted bool) []wire.Answer {
	if !submitted {
		return []wire.Answer{delivered(id, "right")}
	}
	return []wire.Answer{{ID: id, Code: wire.Accepted}, delivered(id, "right")}
}

// payloadOf is what all tests submit, so that a watch can be answered.
func payloadOf(id types.TxID) []byte { return fmt.Appendf(nil, "payload of %d", id.No) }

func delivered(id types.TxID, result string) wire.Answer {
	return wire.Answer{ID: id, Code: wire.Delivered, Seq: 5, Tag: wire.TagOf(payloadOf(id)), Result: []byte(result)}
}

func silent(*fake, types.TxID, []byte, bool) []wire.Answer { return nil }

func lying(_ *fake, id types.TxID, _ []byte, _ bool) []wire.Answer {
	return []wire.Answer{delivered(id, "wrong")}
}

func refusing(code wire.Code) behaviour {
	return func(_ *fake, id types.TxID, _ []byte, submitted bool) []wire.Answer {
		if !submitted {
			return nil
		}
		return []wire.Answer{{ID: id, Code: code}}
	}
}

func startFake(t *testing.T, seed byte, do behaviour) *fake {
	t.Helper()
	key := ed25519.NewKeyFromSeed(append(make([]byte, 31), seed))
	terms, err := wire.ServerTLS(key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{key: key, addr: l.Addr().String(), submitted: map[types.TxID]int{}, watched: map[types.TxID]int{}}
	f.server = grpc.NewServer(grpc.Creds(credentials.NewTLS(terms)), grpc.ForceServerCodec(wire.Codec{}))
	f.server.RegisterService(wire.Description(func(s grpc.ServerStream) error { return f.serve(s, do) }), nil)
	f.wait.Go(func() { _ = f.server.Serve(l) })
	t.Cleanup(func() {
		f.server.Stop()
		f.wait.Wait()
	})
	return f
}

func (f *fake) serve(s grpc.ServerStream, do behaviour) error {
	for {
		var message []byte
		if err := s.RecvMsg(&message); err != nil {
			return nil
		}
		request, err := wire.DecodeRequest(message)
		if err != nil {
			return err
		}
		var answers []wire.Answer
		f.mu.Lock()
		for _, tx := range request.Submit {
			f.submitted[tx.TxID]++
			answers = append(answers, do(f, tx.TxID, tx.Payload, true)...)
		}
		for _, id := range request.Watch {
			f.watched[id]++
			answers = append(answers, do(f, id, nil, false)...)
		}
		f.mu.Unlock()
		if len(answers) == 0 {
			continue
		}
		message = wire.AppendAnswers(nil, answers)
		if err := s.SendMsg(&message); err != nil {
			return err
		}
	}
}

func (f *fake) counts(id types.TxID) (submitted, watched int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.submitted[id], f.watched[id]
}

// dial starts a replica for each behaviour and connects to all of them.
func dial(t *testing.T, opts client.Options, behaviours ...behaviour) (*client.Client, []*fake, context.Context) {
	t.Helper()
	var fakes []*fake
	var members []client.Member
	for i, do := range behaviours {
		f := startFake(t, byte(i), do)
		fakes = append(fakes, f)
		members = append(members, client.Member{Node: types.NodeID(i), Weight: 1, Key: f.key.Public().(ed25519.PublicKey), Addr: f.addr})
	}
	// The deadline only ends a test that hangs.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	c, err := client.Dial(ctx, members, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	for c.Stats().Connected < len(members) {
		if ctx.Err() != nil {
			t.Fatalf("connected: %+v", c.Stats())
		}
		time.Sleep(time.Millisecond)
	}
	return c, fakes, ctx
}

func tx(client, no uint64) types.Tx {
	id := types.TxID{Client: types.ClientID(client), No: types.TxNo(no)}
	return types.Tx{TxID: id, Payload: payloadOf(id)}
}

func TestOneReplicaIsGivenTheTransactionAndOneMoreIsAsked(t *testing.T) {
	c, fakes, ctx := dial(t, client.Options{}, honest, honest, honest, honest)
	// Client 6 belongs to replica 6 mod 4 = 2, and with f = 1 the next one's
	// answer makes the weight of 2 > f.
	r, err := c.Submit(ctx, tx(6, 0))
	if err != nil || string(r.Data) != "right" || r.Seq != 5 {
		t.Fatalf("result %+v (%v)", r, err)
	}
	for i, want := range []string{"0 0", "0 0", "1 0", "0 1"} {
		submitted, watched := fakes[i].counts(tx(6, 0).TxID)
		if got := fmt.Sprint(submitted, watched); got != want {
			t.Errorf("replica %d was asked %s, want %s", i, got, want)
		}
	}
}

func TestALiarIsNotBelieved(t *testing.T) {
	for liar := range 4 {
		behaviours := []behaviour{honest, honest, honest, honest}
		behaviours[liar] = lying
		c, _, ctx := dial(t, client.Options{RetryAfter: 10 * time.Millisecond}, behaviours...)
		for no := range uint64(4) {
			if r, err := c.Submit(ctx, tx(no, no)); err != nil || string(r.Data) != "right" {
				t.Errorf("with liar %d: result %+v (%v)", liar, r, err)
			}
		}
		if c.Stats().Conflicts == 0 {
			t.Errorf("liar %d was not noticed", liar)
		}
	}
}

// TestOthersAreAskedInThePlaceOfOneThatIsNoHelp: a replica that restarted has
// forgotten results and refuses, a faulty one lies. Neither costs a RetryAfter.
func TestOthersAreAskedInThePlaceOfOneThatIsNoHelp(t *testing.T) {
	forgetful := func(_ *fake, id types.TxID, _ []byte, _ bool) []wire.Answer {
		return []wire.Answer{{ID: id, Code: wire.Forgotten}}
	}
	for name, do := range map[string]behaviour{"forgetful": forgetful, "lying": lying} {
		for at := range 4 {
			behaviours := []behaviour{honest, honest, honest, honest}
			behaviours[at] = do
			c, _, ctx := dial(t, client.Options{RetryAfter: time.Hour}, behaviours...)
			if r, err := c.Submit(ctx, tx(0, 0)); err != nil || string(r.Data) != "right" {
				t.Errorf("replica %d is %s: result %+v (%v)", at, name, r, err)
			}
		}
	}
}

// TestARefusalIsTakenBackByAcceptance: replicas 0 and 1 both refuse at first, but
// replica 0 has accepted before replica 1 refuses, so that never more than one
// refuses at a time.
func TestARefusalIsTakenBackByAcceptance(t *testing.T) {
	accepted := make(chan struct{})
	changing := func(f *fake, id types.TxID, _ []byte, submission bool) []wire.Answer {
		if f.submitted[id] == 1 {
			return []wire.Answer{{ID: id, Code: wire.Full}}
		}
		if submission && f.submitted[id] == 2 {
			close(accepted)
		}
		return []wire.Answer{{ID: id, Code: wire.Accepted}}
	}
	late := func(_ *fake, id types.TxID, _ []byte, submission bool) []wire.Answer {
		if !submission {
			return nil
		}
		<-accepted
		// The acceptance is on its way. Were it overtaken, two replicas would have
		// refused, which is another rule.
		time.Sleep(100 * time.Millisecond)
		return []wire.Answer{{ID: id, Code: wire.Full}}
	}
	c, _, ctx := dial(t, client.Options{RetryAfter: 50 * time.Millisecond}, changing, late, silent, silent)
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if r, err := c.Submit(short, tx(0, 0)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("result %+v (%v), want none: one replica refuses", r, err)
	}
}

func TestTrustOneTakesTheWordOfOne(t *testing.T) {
	c, _, ctx := dial(t, client.Options{TrustOne: true}, lying, honest, honest, honest)
	if r, err := c.Submit(ctx, tx(0, 0)); err != nil || string(r.Data) != "wrong" {
		t.Errorf("result %+v (%v)", r, err)
	}
}

func TestARefusalCountsWhenMoreThanFRefuse(t *testing.T) {
	for code, want := range map[wire.Code]error{
		wire.WindowFull: mempool.ErrWindowFull, wire.TooLarge: mempool.ErrTooLarge, wire.Full: mempool.ErrFull,
		wire.TooManyClients: mempool.ErrTooManyClients, wire.Forgotten: mempool.ErrDelivered,
	} {
		c, _, ctx := dial(t, client.Options{}, refusing(code), refusing(code), honest, honest)
		if _, err := c.Submit(ctx, tx(0, 0)); !errors.Is(err, want) {
			t.Errorf("%v of two replicas: %v, want %v", code, err, want)
		}
		c, _, ctx = dial(t, client.Options{RetryAfter: 10 * time.Millisecond}, refusing(code), honest, honest, honest)
		if r, err := c.Submit(ctx, tx(0, 0)); err != nil || string(r.Data) != "right" {
			t.Errorf("%v of one replica: result %+v (%v)", code, r, err)
		}
	}
}

func TestASilentReplicaIsGoneAround(t *testing.T) {
	c, _, ctx := dial(t, client.Options{RetryAfter: 10 * time.Millisecond}, silent, honest, honest, honest)
	if r, err := c.Submit(ctx, tx(0, 0)); err != nil || string(r.Data) != "right" {
		t.Errorf("result %+v (%v)", r, err)
	}
	if c.Stats().Retries == 0 {
		t.Error("nothing was tried again")
	}
}

// TestASlowReplicaGetsNothingNewUntilItTellsOfADelivery: one that is behind after
// a restart takes transactions and delivers nothing for a while.
func TestASlowReplicaGetsNothingNewUntilItTellsOfADelivery(t *testing.T) {
	var awake atomic.Bool
	sleepy := func(f *fake, id types.TxID, payload []byte, submission bool) []wire.Answer {
		if !awake.Load() {
			return nil
		}
		return honest(f, id, payload, submission)
	}
	c, fakes, ctx := dial(t, client.Options{RetryAfter: 500 * time.Millisecond}, sleepy, honest, honest, honest)
	no := uint64(0)
	// next submits a transaction that no machine was too slow for, and reports
	// whether replica 0 was given it.
	next := func() bool {
		for ; ; no++ {
			before := c.Stats().Retries
			if r, err := c.Submit(ctx, tx(0, no)); err != nil || string(r.Data) != "right" {
				t.Fatalf("result %+v (%v)", r, err)
			}
			if c.Stats().Retries == before {
				break
			}
		}
		submitted, _ := fakes[0].counts(tx(0, no).TxID)
		no++
		return submitted > 0
	}
	if next() {
		t.Error("a slow replica is given a new transaction")
	}
	for awake.Store(true); !next(); {
		if ctx.Err() != nil {
			t.Fatal("a replica that is slow no more is given nothing")
		}
	}
}

func TestWhatALostReplicaHeldGoesToAnother(t *testing.T) {
	c, fakes, ctx := dial(t, client.Options{RetryAfter: time.Hour}, silent, honest, honest, honest)
	done := make(chan error, 1)
	if err := c.Go(ctx, tx(0, 0), func(_ client.Result, err error) { done <- err }); err != nil {
		t.Fatal(err)
	}
	for submitted := 0; submitted == 0; submitted, _ = fakes[0].counts(tx(0, 0).TxID) {
		time.Sleep(time.Millisecond)
	}
	fakes[0].server.Stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAnotherPayloadUnderTheSameNumberIsNoResult(t *testing.T) {
	c, _, ctx := dial(t, client.Options{}, honest, honest, honest, honest)
	other := tx(0, 0)
	other.Payload = []byte("another payload")
	if r, err := c.Submit(ctx, other); !errors.Is(err, client.ErrTaken) || !errors.Is(err, mempool.ErrDelivered) {
		t.Errorf("result %+v (%v), want ErrTaken", r, err)
	}
}

func TestInFlightIsBounded(t *testing.T) {
	c, _, ctx := dial(t, client.Options{InFlightMax: 2}, silent)
	ended := make(chan error, 2)
	for no := range uint64(2) {
		if err := c.Go(ctx, tx(0, no), func(_ client.Result, err error) { ended <- err }); err != nil {
			t.Fatal(err)
		}
	}
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	if err := c.Go(short, tx(0, 2), nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a third transaction of two: %v", err)
	}
	if !c.Forget(tx(0, 0).TxID) || c.Forget(tx(0, 0).TxID) {
		t.Error("a transaction in flight is forgotten once")
	}
	if err := c.Go(ctx, tx(0, 1), nil); !errors.Is(err, client.ErrInFlight) {
		t.Errorf("a transaction that is in flight: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, client.ErrClosed) {
		t.Errorf("a transaction in flight ends with %v", err)
	}
	if err := c.Go(ctx, tx(0, 3), nil); !errors.Is(err, client.ErrClosed) {
		t.Errorf("a closed client answers %v", err)
	}
}

func TestAReplicaWithAnotherKeyIsNoReplica(t *testing.T) {
	f := startFake(t, 1, honest)
	stranger := ed25519.NewKeyFromSeed(append(make([]byte, 31), 2))
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	_, err := client.Dial(ctx, []client.Member{{Weight: 1, Key: stranger.Public().(ed25519.PublicKey), Addr: f.addr}}, client.Options{})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("dialling a replica with another key: %v", err)
	}
}

func TestBadMembersAreRefused(t *testing.T) {
	for name, members := range map[string][]client.Member{
		"none":      nil,
		"no weight": {{Key: make([]byte, 32), Addr: "127.0.0.1:1"}},
		"no key":    {{Weight: 1, Addr: "127.0.0.1:1"}},
	} {
		if _, err := client.Dial(t.Context(), members, client.Options{}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
