package call

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/returnleg/returnleg/providers/internal/address"
	"github.com/returnleg/returnleg/providers/internal/fault"
)

// unanswered explains the error of a request that got no answer, by what is the transport's own in its cause.
func unanswered(from string, err, cause error) error {
	var op *net.OpError
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(cause, &cert):
		return fault.Explain(err, "%s: its certificate does not verify: %s", from, fault.Quoted(cert.Err.Error()))
	case errors.Is(cause, context.DeadlineExceeded):
		return fault.Explain(err, "%s did not answer in time", from)
	case errors.As(cause, &dns):
		return fault.Explain(err, "%s: there is no host %s", from, fault.Quoted(dns.Name))
	case errors.As(cause, &op) && op.Op == "dial":
		return fault.Explain(err, "%s: %s", from, op.Error())
	}
	return fault.Explain(err, "%s got no usable answer", from)
}

// unavailable wraps what the transport says, as far as the text is its own: net/http quotes
// malformed answers in its errors.
func (c *Client) unavailable(what string, err error) error {
	prefix := "providers: " + c.Name + ": " + what
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w: %w", prefix, fault.ErrUnavailable, context.DeadlineExceeded)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w: %w", prefix, fault.ErrUnavailable, context.Canceled)
	case errors.Is(err, address.ErrAddress):
		return fmt.Errorf("%s: %w: %w", prefix, fault.ErrUnavailable, address.ErrAddress)
	case errors.As(err, &dns):
		return fmt.Errorf("%s: %w: %w", prefix, fault.ErrUnavailable, dns)
	case errors.As(err, &op):
		return fmt.Errorf("%s: %w: %w", prefix, fault.ErrUnavailable, op)
	}
	return fmt.Errorf("%s: %w: no usable answer", prefix, fault.ErrUnavailable)
}
