package providers

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxExplanation bounds one line of [Explain], and maxTerm what somebody else has written in it.
const (
	maxExplanation = 1024
	maxTerm        = 256
)

// Explain returns what a developer wants to know about an error of this package, and its text does not say: the times of
// a clock that is off, both issuers where they differ, the URL that answered 404, the provider's own
// words. Each line is printable and short, has no secret, and no query of a URL; yet some are what others wrote, so
// that they are for a program under development, and for no page that anybody else sees. Package middleware shows them
// where its base URL is loopback.
func Explain(err error) (lines []string) {
	for ; err != nil; err = unwrap(err, &lines) {
		switch e := err.(type) {
		case *explained:
			lines = append(lines, clean(e.why, maxExplanation))
		case *Error:
			if said := e.said(); said != "" {
				lines = append(lines, said)
			}
		}
	}
	return lines
}

// unwrap returns what err wraps. Where that is several errors, their lines are added.
func unwrap(err error, lines *[]string) error {
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return e.Unwrap()
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			*lines = append(*lines, Explain(err)...)
		}
	}
	return nil
}

// said returns a refusal in the provider's own words.
func (e *Error) said() string {
	if e.Code == "" && e.Description == "" {
		return ""
	}
	s := e.Provider + " says " + strconv.Quote(e.Code)
	if e.Description != "" {
		s += ": " + e.Description
	}
	if e.URI != "" {
		s += " (" + bare(e.URI) + ")"
	}
	return clean(s, maxExplanation)
}

// explained is an error with an explanation, which is not part of its text.
type explained struct {
	err error
	why string
}

func (e *explained) Error() string { return e.err.Error() }

func (e *explained) Unwrap() error { return e.err }

func explain(err error, format string, args ...any) error {
	return &explained{err, fmt.Sprintf(format, args...)}
}

// bare returns a URL without what may be a secret in it. Other text stays.
func bare(raw string) string {
	raw, _, _ = strings.Cut(raw, "#")
	raw, _, _ = strings.Cut(raw, "?")
	if u, err := url.Parse(raw); err == nil && u.User != nil {
		u.User = nil
		raw = u.String()
	}
	return clean(raw, maxTerm)
}

// quoted returns somebody else's words.
func quoted(s string) string { return strconv.Quote(bare(s)) }

// span returns a duration as people say it: 90s, 60m, 25h.
func span(d time.Duration) string {
	switch d = d.Abs(); {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", d.Round(time.Second)/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", d.Round(time.Minute)/time.Minute)
	case d < 96*time.Hour:
		return fmt.Sprintf("%dh", d.Round(time.Hour)/time.Hour)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

// without returns text from which values were taken that it may repeat: a provider likes to say what it did not like.
func without(text string, secrets ...string) string {
	for _, s := range secrets {
		if len(s) >= 4 {
			text = strings.ReplaceAll(text, s, redacted)
			text = strings.ReplaceAll(text, url.QueryEscape(s), redacted)
		}
	}
	return text
}

// cutEnd takes the beginning of secret from the end of text, which may have been cut there.
func cutEnd(text, secret string) string {
	for n := min(len(secret)-1, len(text)); n >= 4; n-- {
		if strings.HasSuffix(text, secret[:n]) {
			return text[:len(text)-n] + redacted
		}
	}
	return text
}

// hushed takes the secrets of a request from the refusal that answered it.
func hushed(err error, secrets ...string) error {
	var e *Error
	if errors.As(err, &e) {
		e.Description, e.URI = without(e.Description, secrets...), without(e.URI, secrets...)
		for _, s := range secrets {
			e.Description, e.URI = cutEnd(e.Description, s), cutEnd(e.URI, s)
		}
		if without(e.Code, secrets...) != e.Code {
			e.Code = ""
		}
	}
	return err
}
