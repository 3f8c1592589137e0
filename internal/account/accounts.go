package account

import (
	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/session"
)

// Accounts are the people of an app.
type Accounts struct {
	Env      *env.Env
	Sessions *session.Sessions
}
