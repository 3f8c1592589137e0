package connection

import "context"

// Keys of a context.
type (
	connectionKey struct{} // the label
	withoutKey    struct{} // the request is sent without the token
	byHandKey     struct{} // nothing is renewed unless it is asked for
)

// byHand reports that ctx is of [WithoutRefresh].
func byHand(ctx context.Context) bool {
	by, _ := ctx.Value(byHandKey{}).(bool)
	return by
}

// WithLabel returns a context whose requests are for the connection with that label.
func WithLabel(ctx context.Context, label string) context.Context {
	return context.WithValue(ctx, connectionKey{}, label)
}

// LabelIn returns the label of ctx; "" if it has none.
func LabelIn(ctx context.Context) string {
	label, _ := ctx.Value(connectionKey{}).(string)
	return label
}

// WithoutToken returns a context for requests that are sent without the token.
func WithoutToken(ctx context.Context) context.Context {
	return context.WithValue(ctx, withoutKey{}, true)
}

// WithoutRefresh returns a context in which nothing is renewed unless it is asked for.
func WithoutRefresh(ctx context.Context) context.Context {
	return context.WithValue(ctx, byHandKey{}, true)
}
