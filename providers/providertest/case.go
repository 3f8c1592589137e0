package providertest

// A Case is one way to misbehave, and what a relying party makes of it. [Conformance], [Attacks]
// and [Quirks] return tables of them: give each to a fresh server, sign in, and compare.
type Case struct {
	ID   string // "B12" of a conformance module, "68" of an attack, "Q" of a quirk
	Name string // for t.Run; a conformance case is called like its module

	Behavior Behavior
	Outcome  Outcome

	Algorithm string // for [Config].Algorithm
	OIDC      bool   // needs scope openid: a plain OAuth 2.0 party does not notice
	UserInfo  bool   // needs a party that asks the userinfo endpoint
	Rotate    bool   // sign in, [Server.RotateKey], sign in again
	Hangs     bool   // ends only when the party gives up: use a short timeout, or testing/synctest
}

// An Outcome is what a sign-in comes to.
type Outcome uint8

const (
	// SignedIn: the party accepts.
	SignedIn Outcome = iota
	// Either: the party may accept or refuse; what else must hold is in the name of the case.
	Either
	// Refused: nobody is signed in, and the code was sent at most once.
	Refused
	// Unredeemed: the callback is refused before anything is sent; the sign-in goes on waiting.
	Unredeemed
	// Declined: the provider said no. Nothing is sent, and the sign-in is over.
	Declined
	// RefreshRefused: the sign-in is good; the first refresh is not, and the token has ended.
	RefreshRefused
	// RefreshForeign: the sign-in is good; the first refresh brings somebody else's token, so that it is
	// not known any more whose session this is.
	RefreshForeign
	// RefreshFailed: the sign-in is good; the first refresh comes to nothing, and the next may succeed.
	RefreshFailed
)

// String returns the outcome in words.
func (o Outcome) String() string {
	return [...]string{"signed in", "either", "refused", "refused before redeeming", "declined", "refused at refresh", "somebody else at refresh", "no refresh"}[o]
}

// Allows reports whether a party did right that came to got: what is refused may be refused early,
// and a party that has no session to end may take each refresh that failed for refused.
func (o Outcome) Allows(got Outcome) bool {
	switch o {
	case Either:
		return true
	case Refused:
		return got == Refused || got == Unredeemed
	case RefreshForeign, RefreshFailed:
		return got == o || got == RefreshRefused
	}
	return o == got
}

// join runs several changes.
func join(fs ...func(*Draft, map[string]any)) func(*Draft, map[string]any) {
	return func(d *Draft, m map[string]any) {
		for _, f := range fs {
			f(d, m)
		}
	}
}

// from computes a member from the draft.
func from(name string, f func(d *Draft) any) func(*Draft, map[string]any) {
	return func(d *Draft, m map[string]any) { m[name] = f(d) }
}

// shift moves a time claim by seconds from now, which is what iat says.
func shift(name string, seconds int64) func(*Draft, map[string]any) {
	return func(_ *Draft, m map[string]any) {
		if iat, ok := m["iat"].(int64); ok {
			m[name] = iat + seconds
		}
	}
}
