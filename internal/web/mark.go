package web

import (
	"crypto/sha256"
	"net/http"
	"time"

	"github.com/returnleg/returnleg/internal/keys"
)

// ReplacedMark is the cookie by which a page load is known not to be the first that shows the session cookie of sid and
// secret, which was replaced.
func (c *Cookies) ReplacedMark(sid, secret string) *http.Cookie {
	h := sha256.Sum256([]byte(sid + "." + secret))
	return &http.Cookie{
		Name: c.Session + "-replaced", Value: keys.Text(h[:16]), Path: "/", MaxAge: int(markLife.Seconds()),
		HttpOnly: true, Secure: c.Secure, SameSite: http.SameSiteLaxMode,
	}
}

const markLife = 10 * time.Minute
