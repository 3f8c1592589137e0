package connection

import "net/http"

// Failing is the transport of a client that cannot work: each request fails with Err, and none is sent.
type Failing struct{ Err error }

// RoundTrip implements [http.RoundTripper].
func (f Failing) RoundTrip(r *http.Request) (*http.Response, error) {
	CloseBody(r)
	return nil, f.Err
}
