package redistest

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// StartWatched starts a master, two replicas, and three Sentinels that watch over them under the name "app", and returns
// them when all know each other. The servers have args besides, and the Sentinels the lines of config. A server that is
// silent for so long has failed.
func StartWatched(t testing.TB, silence time.Duration, args []string, config string) (master *Server, replicas, sentinels []*Server) {
	t.Helper()
	master = Start(t, args...)
	for range 2 {
		replicas = append(replicas, Start(t, append(args[:len(args):len(args)], "--replicaof", fmt.Sprint("127.0.0.1 ", master.Port))...))
	}
	for _, r := range replicas {
		r.AwaitFunc(t, func(info string) bool { return strings.Contains(info, "master_link_status:up") }, "INFO", "replication")
	}
	for range 3 {
		sentinels = append(sentinels, StartSentinel(t, fmt.Sprintf(
			"sentinel monitor app 127.0.0.1 %d 2\nsentinel down-after-milliseconds app %d\n", master.Port, silence.Milliseconds())+config))
	}
	for _, s := range sentinels {
		s.AwaitFunc(t, func(info string) bool {
			return strings.Contains(info, "status=ok") && strings.Contains(info, "slaves=2,sentinels=3")
		}, "INFO", "sentinel")
	}
	return master, replicas, sentinels
}
