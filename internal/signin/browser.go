package signin

// A Browser is the browser that came back, as far as a sign-in has to know it.
type Browser interface {
	// Shown returns a hash of the session cookie that it shows.
	Shown() string

	// Device returns the app's name for the device or place, "" if it has none.
	Device() string
}
