package middleware

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"

	"github.com/returnleg/returnleg/internal/background"
	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/signin"
	"github.com/returnleg/returnleg/internal/web"
)

// redeemInTime redeems an answer, for a request that answers after three seconds if it loads a page. Then
// pending is true, the redemption goes on apart from its request, and the answer is a page that asks for its end.
func (q *request) redeemInTime(f *signin.Flow, answer url.Values) (red *signin.Redemption, pending bool, err error) {
	apart := q.apart()
	if !web.PageLoad(q.r) {
		defer q.joins(apart)
		red, q.settled, err = q.auth.signins.Redeem(q, &apart.Request, apart, f, answer)
		return red, false, err
	}
	var end struct { // of the redemption, which may be later than this
		red *signin.Redemption
		out *signin.Outcome
		err error
	}
	late := false
	defer func() {
		if !late { // after a panic of OnLogin, too
			q.joins(apart)
		}
	}()
	late = !background.Apart(q, signin.Blank,
		func(ctx context.Context) {
			end.red, end.out, end.err = q.auth.signins.Redeem(ctx, &apart.Request, apart, f, answer)
		},
		func(panicked any) { apart.fell(f, panicked) },
		func() { apart.failedLate(f, end.red, end.err) })
	if late {
		apart.writer.Start()
		return nil, true, nil
	}
	q.settled = end.out
	return end.red, false, end.err
}

// underWay is the answer of a sign-in that has not ended. It names no way elsewhere: whoever leaves never gets the cookie
// that comes with the end, and the one that they have opens nothing from then on.
func underWay(f *signin.Flow) *Problem {
	p := problem(reason.Pending, nil)
	p.Provider = f.Provider
	return p
}

// apart returns a request for the redemption of q, which may last for longer than q.
func (q *request) apart() *request {
	n := &request{Context: q.Context, auth: q.auth}
	// The header of the request goes out when the redemption may still write to it, and must have nothing by which the
	// browser shows another cookie than its callback: see [signin.SignIns.Reissue].
	n.writer = web.Writer{ResponseWriter: web.Detach(q.writer.ResponseWriter), Hook: n, Refusal: ErrNotSaved}
	n.Init(q.Sessions, n, n)
	n.First, n.FromFormer = *q.Now.Load(), q.FromFormer
	n.r = q.r.WithContext(n)
	return n
}

// joins gives q what its redemption has made of the session, and of the header. A goroutine that has kept the context of
// OnLogin writes to neither from now on: see [request.Begin].
func (q *request) joins(apart *request) {
	apart.Locked(func() {
		apart.writer.Start()
		apart.writer.ResponseWriter.(web.DetachedWriter).Join(q.writer.ResponseWriter.Header())
	})
	q.Now.Store(apart.Now.Load())
}

// fell tells the log where a sign-in panicked. The server that recovers from it sees no more than that a request has
// waited for it, and nothing if no request waits any more.
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
func (q *request) failedLate(f *signin.Flow, red *signin.Redemption, err error) {
	a := q.auth
	if red == nil || err == nil {
		return
	}
	p := a.failure(&q.Request, f, err)
	if p.cause == nil {
		return
	}
	level := slog.LevelInfo
	if p.Status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	a.env.Log.Visitor(q, level, "sign-in failed", string(p.Reason), slog.String("provider", f.Provider), slog.Any("error", p.cause))
}

// Shown returns a hash of what the request shows, for [signin.SignIns.Reissue]. A session that was taken over counts as shown: the
// browser has its cookie from now on, or would have if that answer had not been lost.
func (q *request) Shown() string {
	if q.FromFormer {
		return keys.Hash(q.First.ID + "." + q.First.Secret)
	}
	return q.auth.app.Cookies.PresentedHash(q.r)
}

// Device returns where the sign-in of q comes from, as the app says.
func (q *request) Device() string {
	if q.auth.device == nil {
		return ""
	}
	return q.auth.device(q.r)
}
