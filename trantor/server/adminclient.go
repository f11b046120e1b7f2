package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// pollEvery is how often WaitReady asks.
const pollEvery = 20 * time.Millisecond

// ErrNotReady says that a replica answers and should not be used yet.
var ErrNotReady = errors.New("not ready")

// Ask asks the administrator's address of a replica for a path, such as
// /metrics.
func Ask(ctx context.Context, addr, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return "", fmt.Errorf("asking %s: %w", addr, err)
	}
	request.Close = true // Nobody keeps the connection.
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("asking %s: %w", addr, err)
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close() // It was read.
	switch {
	case err != nil:
		return "", fmt.Errorf("asking %s: %w", addr, err)
	case answer.StatusCode == http.StatusServiceUnavailable:
		return "", fmt.Errorf("%s is %w: %s", addr, ErrNotReady, strings.TrimSpace(string(body)))
	case answer.StatusCode != http.StatusOK:
		return "", fmt.Errorf("asking %s for %s: %s", addr, path, answer.Status)
	}
	return string(body), nil
}

// AskStatus asks a replica for its status; hash is expensive where the state is
// large.
func AskStatus(ctx context.Context, addr string, hash bool) (Status, error) {
	path := "/status"
	if hash {
		path += "?hash=1"
	}
	body, err := Ask(ctx, addr, path)
	if err != nil {
		return Status{}, err
	}
	var status Status
	if err := json.Unmarshal([]byte(body), &status); err != nil {
		return Status{}, fmt.Errorf("asking %s: its status: %w", addr, err)
	}
	return status, nil
}

// WaitReady waits until a replica says that it is ready, and returns why it did
// not before ctx ended.
func WaitReady(ctx context.Context, addr string) error {
	for {
		_, err := Ask(ctx, addr, "/readyz")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for readiness: %w", errors.Join(ctx.Err(), err))
		case <-time.After(pollEvery):
		}
	}
}
