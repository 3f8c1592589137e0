package redistest

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// StartCluster starts a cluster of three masters, each with so many replicas, and returns its nodes when each of them
// knows all others and says that the cluster is well. A node that is silent for so long has failed.
func StartCluster(t testing.TB, replicas int, silence time.Duration) []*Server {
	t.Helper()
	var nodes []*Server
	args := []string{"--cluster", "create"}
	for range 3 * (1 + replicas) {
		n := Start(t, "--cluster-enabled", "yes", "--cluster-node-timeout", fmt.Sprint(silence.Milliseconds()), "--cluster-replica-validity-factor", "0")
		nodes = append(nodes, n)
		args = append(args, n.Addr)
	}
	args = append(args, "--cluster-replicas", fmt.Sprint(replicas), "--cluster-yes")
	if out, err := exec.CommandContext(t.Context(), "redis-cli", args...).CombinedOutput(); err != nil {
		t.Fatalf("redis-cli: %v\n%s", err, out)
	}
	known := fmt.Sprintf("cluster_known_nodes:%d", len(nodes))
	for _, n := range nodes {
		n.AwaitFunc(t, func(info string) bool {
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_slots_ok:16384") && strings.Contains(info, known)
		}, "CLUSTER", "INFO")
	}
	return nodes
}
