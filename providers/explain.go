package providers

import (
	"strconv"

	"github.com/returnleg/returnleg/providers/internal/fault"
	"github.com/returnleg/returnleg/providers/internal/grammar"
)

// maxExplanation bounds one line of [Explain].
const maxExplanation = 1024

// Explain returns what a developer wants to know about an error of this package, and its text does not say: the times of
// a clock that is off, both issuers where they differ, the URL that answered 404, the provider's own
// words. Each line is printable and short, has no secret, and no query of a URL; yet some are what others wrote, so
// that they are for a program under development, and for no page that anybody else sees. Package middleware shows them
// where its base URL is loopback.
func Explain(err error) (lines []string) {
	for ; err != nil; err = unwrap(err, &lines) {
		switch e := err.(type) {
		case *fault.Explained:
			lines = append(lines, grammar.Clean(e.Why, maxExplanation))
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
		s += " (" + fault.Bare(e.URI) + ")"
	}
	return grammar.Clean(s, maxExplanation)
}
