package main

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// The tab in which the form was filled in stays open while its person is at the provider. Its script gives it an
// address of its own, /library?waiting=KEY, before it leaves, and what was filled in is kept in the session under
// that key: a reload finds it, whether or not anybody has come back yet.

const (
	waitingParam = "waiting"
	maxWaiting   = 4 // of a session: the oldest goes
)

var waitingKey = regexp.MustCompile(`^[A-Za-z0-9_-]{16}$`)

// A waiting form is a draft and when it was kept.
type waiting struct {
	At    time.Time
	Draft draft
}

// keepWaiting keeps d for the tab that r says is waiting, if it does.
func (a *app) keepWaiting(r *http.Request, d draft) error {
	key := r.URL.Query().Get(waitingParam)
	if !waitingKey.MatchString(key) {
		return nil
	}
	b, err := json.Marshal(waiting{time.Now(), d})
	if err != nil {
		return err
	}
	ctx, sessions := r.Context(), a.auth.Sessions()
	sessions.Put(ctx, waitingParam+":"+key, string(b))
	for all := a.allWaiting(ctx); len(all) > maxWaiting; {
		oldest := ""
		for name, w := range all {
			if oldest == "" || w.At.Before(all[oldest].At) {
				oldest = name
			}
		}
		sessions.Remove(ctx, oldest)
		delete(all, oldest)
	}
	return nil
}

// waitingDraft returns what the tab at the address of r was left with.
func (a *app) waitingDraft(r *http.Request) (draft, bool) {
	w, ok := a.allWaiting(r.Context())[waitingParam+":"+r.URL.Query().Get(waitingParam)]
	return w.Draft, ok
}

// forgetWaiting forgets them all: the form is finished.
func (a *app) forgetWaiting(ctx context.Context) {
	for name := range a.allWaiting(ctx) {
		a.auth.Sessions().Remove(ctx, name)
	}
}

func (a *app) allWaiting(ctx context.Context) map[string]waiting {
	sessions, all := a.auth.Sessions(), map[string]waiting{}
	for _, name := range sessions.Keys(ctx) {
		var w waiting
		if strings.HasPrefix(name, waitingParam+":") && json.Unmarshal([]byte(sessions.GetString(ctx, name)), &w) == nil {
			all[name] = w
		}
	}
	return all
}
