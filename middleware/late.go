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

	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/signin"
	"github.com/returnleg/returnleg/internal/web"
)

// A redeemed is how one call of [Auth.redeem] ended.
type redeemed struct {
	red      *signin.Redemption
	out      *signin.Outcome
	err      error
	returned bool // else it panicked, or ended its goroutine
	panicked any  // what OnLogin panicked with
}

// redeemInTime is [Auth.redeem] for a request that answers after three seconds if it loads a page. The redemption
// goes on then, apart from its request, pending says, and the answer is a page that asks for its end: see [Auth.land].
func (q *request) redeemInTime(f *signin.Flow, answer url.Values) (red *signin.Redemption, pending bool, err error) {
	a := q.auth
	apart := q.apart()
	if !web.PageLoad(q.r) {
		defer q.joins(apart)
		red, q.settled, err = a.signins.Redeem(q, &apart.Request, apart, f, answer)
		return red, false, err
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
				apart.fell(f, end.panicked)
			}
			select {
			case ended <- end:
			case <-late:
				apart.failedLate(f, &end)
			}
		}()
		end.red, end.out, end.err = a.signins.Redeem(ctx, &apart.Request, apart, f, answer)
		end.returned = true
	}()
	enough := time.NewTimer(signin.Blank)
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
		q.settled = end.out
		return end.red, false, end.err
	case <-enough.C:
		keep() // the client is about to get its answer, and that is no reason to stop
		apart.writer.Start()
		close(late)
		return nil, true, nil
	}
}

// underWay is the answer of a sign-in that has not ended. It names no way elsewhere: whoever leaves never gets the cookie
// that comes with the end, and the one that they have opens nothing from then on.
func underWay(f *signin.Flow) *Problem {
	p := problem(reason.Pending, nil)
	p.Provider = f.Provider
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
	q.Now.Store(apart.Now.Load())
}

// fell tells the log where a sign-in panicked. Who recovers from that, such as the server, sees no more than that a
// request has waited for it; and nobody does if none waits any more.
func (q *request) fell(f *signin.Flow, with any) {
	a := q.auth
	if with == nil || with == http.ErrAbortHandler {
		return
	}
	a.env.Log.Event(q, slog.LevelError, "sign-in panicked", reason.AppFailed, slog.String("provider", f.Provider),
		slog.String("type", fmt.Sprintf("%T", with)), slog.String("stack", string(debug.Stack())))
}

// failedLate tells the log why a sign-in failed whose request has been answered. The answer to the one that finds it so
// does not know: the redemption keeps no cause.
func (q *request) failedLate(f *signin.Flow, end *redeemed) {
	a := q.auth
	if end.red == nil || end.err == nil {
		return
	}
	p := a.failure(&q.Request, f, end.err)
	if p.cause == nil {
		return
	}
	level := slog.LevelInfo
	if p.Status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	a.env.Log.Visitor(q, level, "sign-in failed", string(p.Reason), slog.String("provider", f.Provider), slog.Any("error", p.cause))
}

// Shown returns a hash of what the request shows, for [Auth.reissue]. A session that was taken over counts as shown: the
// browser has its cookie from now on, or would have if that answer had not been lost.
func (q *request) Shown() string {
	if q.FromFormer {
		return keys.Hash(q.First.ID + "." + q.First.Secret)
	}
	return q.auth.app.Cookies.Shown(q.r)
}

// Device returns where the sign-in of q comes from, as the app says.
func (q *request) Device() string {
	if q.auth.device == nil {
		return ""
	}
	return q.auth.device(q.r)
}
