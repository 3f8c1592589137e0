package guest

// A Charge is what a unit is paid for.
type Charge uint8

// The charges.
const (
	Birth      Charge = iota // a session is made
	Prolonging               // a session gets a later expiry
)
