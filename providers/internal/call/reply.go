package call

import (
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/returnleg/returnleg/providers/internal/fault"
)

// A Reply is an answer of the provider, read whole.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
	From   string // method and URL of the request
}

// Explain adds to err what the answer was, where it was no answer of its kind.
func (r *Reply) Explain(err error) error {
	if r.Status == 200 && !r.JSON() {
		return fault.Explain(err, "%s answered 200 with content of type %s, and not JSON", r.From, fault.Quoted(r.Header.Get("Content-Type")))
	}
	return fault.Explain(err, "%s answered %d", r.From, r.Status)
}

// JSON reports whether the answer says that it is JSON.
func (r *Reply) JSON() bool {
	given := r.Header.Get("Content-Type")
	if given == "application/json" { // as most say it
		return true
	}
	t, _, err := mime.ParseMediaType(given)
	return err == nil && (t == "application/json" || strings.HasPrefix(t, "application/") && strings.HasSuffix(t, "+json"))
}

// Form reports whether the answer is of a type that some providers send forms as.
func (r *Reply) Form() bool {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && (t == "application/x-www-form-urlencoded" || t == "text/plain")
}

// RetryAfter reads the Retry-After header: RFC 9110, section 10.2.3: at most an hour, 0 if there is none.
func (r *Reply) RetryAfter(now time.Time) time.Duration {
	v := r.Header.Get("Retry-After")
	n, err := strconv.ParseUint(v, 10, 31)
	if errors.Is(err, strconv.ErrRange) {
		return time.Hour // a number of any size
	}
	if err == nil {
		return min(time.Duration(n)*time.Second, time.Hour)
	}
	t, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	return min(max(t.Sub(now), 0), time.Hour)
}
