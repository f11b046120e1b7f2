package server

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/perfgate/perfgate/trantor/client/wire"
	"github.com/perfgate/perfgate/trantor/types"
)

// messageBytes: a message of answers ends with the one that passes this.
const messageBytes = 1 << 20

// session is one stream of a client. The desk's lock guards it.
type session struct {
	desk *desk
	wake chan struct{} // Capacity 1: something is queued.
	room sync.Cond     // inFlight has fallen.
	// cut ends the stream of a client that does not read its answers.
	cut context.CancelCauseFunc

	waits map[types.TxID]struct{}
	// inFlight counts the transactions without a last answer that is sent.
	// Invariant: at most Limits.InFlight.
	inFlight int
	answers  []wire.Answer
	bytes    int // Of answers.
	closed   bool
}

// queue queues an answer.
func (s *session) queue(a wire.Answer) {
	if s.closed {
		return
	}
	if s.bytes+a.Bytes() > s.desk.limits.AnswerBytes && len(s.answers) > 0 {
		s.cut(status.Errorf(codes.ResourceExhausted, "%d bytes of answers are not read", s.desk.limits.AnswerBytes))
		return
	}
	s.answers = append(s.answers, a)
	s.bytes += a.Bytes()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// finish queues the last answer to a transaction.
func (s *session) finish(a wire.Answer) {
	s.desk.counts[a.Code]++
	s.queue(a)
}

// send sends what is queued until ctx ends.
func (s *session) send(ctx context.Context, stream grpc.ServerStream) error {
	for {
		if answers := s.take(); len(answers) > 0 {
			message := wire.AppendAnswers(nil, answers)
			if err := stream.SendMsg(&message); err != nil {
				return err
			}
			s.settle(answers)
			continue
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// take takes the answers of one message off the queue.
func (s *session) take() []wire.Answer {
	s.desk.mu.Lock()
	defer s.desk.mu.Unlock()
	n, bytes := 0, 0
	for n < len(s.answers) && n < wire.AnswersMax && bytes < messageBytes {
		size := s.answers[n].Bytes()
		if n > 0 && bytes+size > messageBytes {
			break
		}
		bytes += size
		n++
	}
	answers := s.answers[:n:n]
	s.answers = s.answers[n:]
	s.bytes -= bytes
	return answers
}

// settle makes room for what was answered.
func (s *session) settle(answers []wire.Answer) {
	s.desk.mu.Lock()
	defer s.desk.mu.Unlock()
	for _, a := range answers {
		if a.Code != wire.Accepted {
			s.inFlight--
		}
	}
	s.room.Broadcast()
	s.desk.checkIdle()
}
