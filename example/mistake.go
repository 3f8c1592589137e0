package main

// A mistake is what is wrong with one field of a form.
type mistake struct{ Field, Text string }

// mistakes are those of a whole form.
type mistakes []mistake

// Of returns what is wrong with a field; "" if nothing is.
func (m mistakes) Of(field string) string {
	for _, x := range m {
		if x.Field == field {
			return x.Text
		}
	}
	return ""
}
