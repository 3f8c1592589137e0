package middleware

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/web"
)

// A redeemed is how one call of [Auth.redeem] ended.
type redeemed struct {
	red      *redemption
	problem  *Problem
	returned bool // else it panicked, or ended its goroutine
	panicked any  // what OnLogin panicked with
}

// redeemInTime is [Auth.redeem] for a request that answers after three seconds if it loads a page. The redemption
// goes on then, apart from its request, and the answer is a page that asks for its end: see [Auth.land].
func (a *Auth) redeemInTime(q *request, f *flow, answer url.Values) (*redemption, *Problem) {
	apart := q.apart()
	if !web.PageLoad(q.r) {
		defer q.joins(apart)
		return a.redeem(q, apart, f, answer)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(q))
	keep := context.AfterFunc(q, cancel)
	ended, late := make(chan redeemed), make(chan struct{})
	go func() {
		var end redeemed
		defer cancel()
		defer func() {
			if !end.returned {
				end.panicked = recover()
				a.fell(apart, f, end.panicked)
			}
			select {
			case ended <- end:
			case <-late:
				a.failedLate(apart, f, &end)
			}
		}()
		end.red, end.problem = a.redeem(ctx, apart, f, answer)
		end.returned = true
	}()
	enough := time.NewTimer(blank)
	defer enough.Stop()
	select {
	case end := <-ended:
		keep()
		q.joins(apart)
		switch {
		case end.panicked != nil:
			panic(end.panicked)
		case !end.returned:
			runtime.Goexit()
		}
		return end.red, end.problem
	case <-enough.C:
		keep() // the client is about to get its answer, and that is no reason to stop
		apart.writer.Start()
		close(late)
		return nil, underWay(f)
	}
}

// underWay is the answer of a sign-in that has not ended. It names no way elsewhere: whoever leaves never gets the cookie
// that comes with the end, and the one that they have opens nothing from then on.
func underWay(f *flow) *Problem {
	p := problem(reason.Pending, nil)
	p.Provider = f.provider
	return p
}

// A heading is a response writer with a header of its own: that of the request goes out when the redemption may still
// write to it, and must have nothing by which the browser shows another cookie than its callback, see [Auth.reissue].
type heading struct {
	http.ResponseWriter
	header http.Header
}

// Header returns its own header.
func (w heading) Header() http.Header { return w.header }

// apart returns a request for the redemption of q, which may last for longer than q.
func (q *request) apart() *request {
	n := &request{Context: q.Context, auth: q.auth}
	w := q.writer.ResponseWriter
	n.writer = web.Writer{ResponseWriter: heading{w, w.Header().Clone()}, Hook: n, Refusal: ErrNotSaved}
	n.Enter(q.Sessions, n, n)
	n.First, n.FromFormer = *q.Now.Load(), q.FromFormer
	n.r = q.r.WithContext(n)
	return n
}

// joins gives q what its redemption has made of the session, and of the header. Whoever has kept the context of OnLogin
// writes to neither from now on: see [request.Begin].
func (q *request) joins(apart *request) {
	apart.Locked(func() {
		apart.writer.Start()
		h := q.writer.ResponseWriter.Header()
		clear(h)
		maps.Copy(h, apart.writer.Header())
	})
	q.settled = apart.settled
	q.Now.Store(apart.Now.Load())
}

// fell tells the log where a sign-in panicked. Who recovers from that, such as the server, sees no more than that a
// request has waited for it; and nobody does if none waits any more.
func (a *Auth) fell(q *request, f *flow, with any) {
	if with == nil || with == http.ErrAbortHandler {
		return
	}
	a.env.Log.Event(q, slog.LevelError, "sign-in panicked", reason.AppFailed, slog.String("provider", f.provider),
		slog.String("type", fmt.Sprintf("%T", with)), slog.String("stack", string(debug.Stack())))
}

// failedLate tells the log why a sign-in failed whose request has been answered. The answer to the one that finds it so
// does not know: the redemption keeps no cause.
func (a *Auth) failedLate(q *request, f *flow, end *redeemed) {
	p := end.problem
	if end.red == nil || p == nil || p.cause == nil {
		return
	}
	level := slog.LevelInfo
	if p.Status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	a.env.Log.Visitor(q, level, "sign-in failed", string(p.Reason), slog.String("provider", f.provider), slog.Any("error", p.cause))
}
