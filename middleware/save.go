package middleware

import "context"

// Save saves what the handler changed in the session so far. An answer that has not begun is saved
// by itself; Save is for streams, and for whoever wants to know the error. It returns [ErrNotSaved]
// if the session ended meanwhile, if the request never had a right to it, or if it would need a
// cookie and the answer's header has left. [Answer] makes 409 of that, and a page that offers the form again.
//
// A change that is not saved refuses the handler's answer, whether or not it asked: an answer below 400 is replaced
// by 409 with [ReasonNotSaved]. GET, HEAD, OPTIONS and TRACE are answered as for a visitor, and nothing is kept.
func Save(ctx context.Context) error {
	q, err := from(ctx)
	if err != nil {
		return err
	}
	return q.SaveNow()
}

// SignOut ends the session of this request, in the store and in the browser, when the answer
// begins. Nobody signed in is no error. Where the answer has begun, call [Save] next. Nothing that
// was in the session stays, nor is it read any more; what this request puts in is kept for whoever is there now.
func SignOut(ctx context.Context) error {
	q, err := from(ctx)
	if err != nil {
		return err
	}
	q.SignOut()
	return nil
}
