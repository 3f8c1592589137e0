package middleware

import (
	"errors"
	"net/http"
)

// maxOwnForm is more than any form of the kit's own addresses needs: a few names, and a path to return to.
const maxOwnForm = 64 << 10

// readForm reads a form that was sent to one of the kit's own addresses.
func readForm(w http.ResponseWriter, r *http.Request) *Problem {
	r.Body = http.MaxBytesReader(w, r.Body, maxOwnForm)
	err := r.ParseForm()
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return problem(ReasonTooLarge, err)
	}
	if err != nil {
		return problem(ReasonParameter, err)
	}
	return nil
}
