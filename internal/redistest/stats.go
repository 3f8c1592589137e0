package redistest

import (
	"strconv"
	"strings"
)

// commands reads the section commandstats of INFO:
//
//	cmdstat_hgetall:calls=12,usec=…
func commands(info string) map[string]int {
	calls := map[string]int{}
	for line := range strings.Lines(info) {
		name, rest, ok := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		if !ok {
			continue
		}
		digits, _, _ := strings.Cut(rest, ",")
		if n, err := strconv.Atoi(digits); err == nil {
			calls[strings.ToUpper(name)] = n
		}
	}
	return calls
}
