package redisstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/gomodule/redigo/redis"

	"github.com/returnleg/returnleg/sessionstore"
)

// An answer is the code of a server's error. The rest of its text stays out of ours: it repeats
// arguments, such as the key, or is whatever somebody says who is no Redis server.
type answer string

func (a answer) Error() string { return "server answered " + string(a) }

// A refusal is an answer to a dial, and what it means.
type refusal struct {
	answer
	class error
}

func (r refusal) Unwrap() []error { return []error{r.answer, r.class} }

// judged returns err, which is that of a dial, without what the server said. There are those between us
// and our callers who keep no more of an error than its text.
func judged(err error) error {
	var e redis.Error
	if !errors.As(err, &e) {
		return err
	}
	return refusal{answer(codeOf(e)), classOfAnswer(e)}
}

// failed returns err as callers see it: with its class, and without what the server said.
func failed(op string, err error) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("redisstore: %s: %w", op, err)
	}
	err = withoutAnswers(err)
	class := classOf(err)
	var e redis.Error
	if errors.As(err, &e) {
		err = answer(codeOf(e))
	}
	return fmt.Errorf("redisstore: %s: %w: %w", op, class, err)
}

// classOf returns what an error means for the caller.
func classOf(err error) error {
	var e redis.Error
	if errors.As(err, &e) {
		return classOfAnswer(e)
	}
	var dial refusal
	if errors.As(err, &dial) {
		return dial.class
	}
	var wait *waitError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &wait), errors.Is(err, redis.ErrPoolExhausted):
		return sessionstore.ErrOverloaded
	case errors.Is(err, errForeign), errors.Is(err, errReply), errors.Is(err, errNoPool), errors.Is(err, errNoMaster), errors.As(err, &certificate):
		return sessionstore.ErrMisconfigured
	// redigo has no name for this error.
	case strings.HasPrefix(err.Error(), "redigo: unexpected response line"):
		return sessionstore.ErrMisconfigured
	case strings.HasPrefix(err.Error(), noNode):
		return classOfNodes(strings.TrimPrefix(err.Error(), noNode))
	}
	return sessionstore.ErrUnavailable
}

// noNode is how redisc begins to say that it has no connection. What each node's error was follows, a
// line each.
const noNode = "redisc: failed to get a connection\n"

// withoutAnswers returns err without what nodes of a cluster said, if it is that of a cluster without a
// connection: its pools may dial in a way of their own.
func withoutAnswers(err error) error {
	text, ok := strings.CutPrefix(err.Error(), noNode)
	if !ok {
		return err
	}
	nodes := strings.Split(text, "\n")
	for i, node := range nodes {
		if said := redis.Error(node); strings.HasPrefix(node, codeOf(said)+" ") {
			nodes[i] = answer(codeOf(said)).Error()
		}
	}
	return errors.New(noNode + strings.Join(nodes, "\n"))
}

// classOfNodes returns what the errors of a cluster's nodes mean, by their texts.
func classOfNodes(text string) error {
	for _, within := range []string{"server answered NOAUTH", "server answered WRONGPASS", "server answered NOPERM",
		"tls: failed to verify certificate"} {
		if strings.Contains(text, within) {
			return sessionstore.ErrMisconfigured
		}
	}
	for node := range strings.Lines(text) {
		// A dial that took too long says more.
		if node = strings.TrimSuffix(node, "\n"); node != context.DeadlineExceeded.Error() && node != redis.ErrPoolExhausted.Error() {
			return sessionstore.ErrUnavailable
		}
	}
	return sessionstore.ErrOverloaded
}

// classOfAnswer returns what a server's error means.
func classOfAnswer(e redis.Error) error {
	switch codeOf(e) {
	case "OOM":
		return sessionstore.ErrFull
	case "MISCONF":
		return errUnsaved
	case "NOAUTH", "WRONGPASS", "NOPERM", "DENIED", "MOVED", "CROSSSLOT", "WRONGTYPE":
		return sessionstore.ErrMisconfigured
	case "ERR":
		return classOfText(string(e))
	}
	return sessionstore.ErrUnavailable
}

// errUnsaved is a server that takes no changes because its disk does not. It is full, for what
// would be made; for what would be deleted it is not available.
var errUnsaved = fmt.Errorf("%w, %w", sessionstore.ErrFull, sessionstore.ErrUnavailable)

// classOfText tells apart the errors that Redis gives no code.
func classOfText(text string) error {
	for _, begins := range []string{"ERR unknown command", "ERR Client sent AUTH", "ERR AUTH", "ERR invalid password",
		"ERR DB index", "ERR invalid DB index", "ERR SELECT is not allowed", "ERR This instance has cluster support disabled",
		// What a change looks like to a server that has not been told a password: too long to be AUTH.
		"ERR Protocol error: unauthenticated"} {
		if strings.HasPrefix(text, begins) {
			return sessionstore.ErrMisconfigured
		}
	}
	// Redis writes where in the script before it, behind it, or both.
	for _, within := range []string{"The user executing the script can't", "ACL failure in script", "Unknown Redis command called from"} {
		if strings.Contains(text, within) {
			return sessionstore.ErrMisconfigured
		}
	}
	return sessionstore.ErrUnavailable
}

// codeOf returns the first word of a server's error, or "" for other errors.
func codeOf(err error) string {
	e, ok := err.(redis.Error)
	if !ok {
		return ""
	}
	text := string(e)
	// Until version 7, an error in a script has the code of its cause within.
	if strings.HasPrefix(text, "ERR Error running script") {
		if _, cause, ok := strings.Cut(text, ": -"); ok {
			text = cause
		}
	}
	code, _, _ := strings.Cut(text, " ")
	for _, c := range code {
		if c < 'A' || c > 'Z' {
			return "ERR"
		}
	}
	if len(code) > 16 || code == "" {
		return "ERR"
	}
	return code
}

// isDeadEnd reports whether a connection that gets this answer leads to the wrong server, or was
// not let in: another one may do better.
func isDeadEnd(code string) bool {
	switch code {
	case "READONLY", "MASTERDOWN", "NOAUTH":
		return true
	}
	return false
}
