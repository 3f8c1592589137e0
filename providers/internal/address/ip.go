package address

import (
	"bytes"
	"net/netip"
	"slices"
)

// nowhere are the addresses where no provider lives.
var nowhere = prefixes(
	"0.0.0.0/8",                   // this network, which is this machine on some systems: RFC 791
	"169.254.0.0/16", "fe80::/10", // link-local
	"192.0.0.0/24",            // protocol assignments, Oracle's cloud metadata among them: RFC 6890
	"224.0.0.0/4", "ff00::/8", // multicast
	"240.0.0.0/4",        // reserved, and broadcast
	"::/128",             // unspecified
	"100::/64",           // discarded: RFC 6666
	"100.100.100.200/32", // Alibaba's cloud metadata
	"168.63.129.16/32",   // Azure's
	"fd00:ec2::/32",      // those of AWS
	"fd20:ce::254/128",   // Google's
)

// privately are the addresses of this machine and its private network.
var privately = prefixes(
	"127.0.0.0/8", "::1/128", // loopback
	"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", // private: RFC 1918, RFC 4193
	"fec0::/10",     // the former kind of private: RFC 3879
	"100.64.0.0/10", // carriers, and some cloud networks: RFC 6598
	"198.18.0.0/15", // benchmarks of a network: RFC 2544
	"5f00::/16",     // segments of a network: RFC 9602
)

func prefixes(texts ...string) (ps []netip.Prefix) {
	for _, t := range texts {
		ps = append(ps, netip.MustParsePrefix(t))
	}
	return ps
}

// Plain returns ip in the notation that it is judged in.
func Plain(ip netip.Addr) netip.Addr { return ip.Unmap().WithZone("") }

// Never reports whether no provider can live at ip.
func Never(ip netip.Addr) bool { return leads(nowhere, ip) }

// Inside reports whether ip belongs to this machine or its private network.
func Inside(ip netip.Addr) bool { return leads(privately, ip) }

// leads reports whether ip, or an address that it carries, is in one of ps.
func leads(ps []netip.Prefix, ip netip.Addr) bool {
	return contains(ps, ip) || slices.ContainsFunc(carried(ip), func(v4 netip.Addr) bool { return contains(ps, v4) })
}

func contains(ps []netip.Prefix, ip netip.Addr) bool {
	return slices.ContainsFunc(ps, func(p netip.Prefix) bool { return p.Contains(ip) })
}

var (
	compatible = netip.MustParsePrefix("::/96")           // RFC 4291, section 2.5.5.1
	translated = netip.MustParsePrefix("::ffff:0:0:0/96") // RFC 2765, section 2.1
	nat64      = netip.MustParsePrefix("64:ff9b::/96")    // RFC 6052, section 2.1
	localNAT64 = netip.MustParsePrefix("64:ff9b:1::/48")  // RFC 8215
	sixToFour  = netip.MustParsePrefix("2002::/16")       // RFC 3056
	teredo     = netip.MustParsePrefix("2001::/32")       // RFC 4380
	isatap     = []byte{0, 0, 0x5e, 0xfe}                 // RFC 5214, section 6.1, but for the bit that says "global"
)

// carried returns the IPv4 addresses that a packet to ip may end up at: those that a translator or a tunnel reads
// out of it.
func carried(ip netip.Addr) (v4 []netip.Addr) {
	if !ip.Is6() || ip.IsLoopback() {
		return nil
	}
	b := ip.As16()
	add := func(bytes ...byte) { v4 = append(v4, netip.AddrFrom4([4]byte(bytes))) }
	switch {
	case compatible.Contains(ip), translated.Contains(ip), nat64.Contains(ip):
		add(b[12:]...)
	case localNAT64.Contains(ip):
		return localCarried(b)
	case sixToFour.Contains(ip):
		add(b[2:6]...)
	case teredo.Contains(ip):
		add(b[4:8]...) // the server
		add(^b[12], ^b[13], ^b[14], ^b[15])
	}
	if b[8]&^2 == isatap[0] && bytes.Equal(b[9:12], isatap[1:]) {
		add(b[12:]...)
	}
	return v4
}

// localCarried is carried for the prefix of translators within a network, which may be of any length from 48 bits on:
// RFC 6052, section 2.2, says where the address is then. Of what is read at the wrong place much is zero.
func localCarried(b [16]byte) (v4 []netip.Addr) {
	for _, at := range [][4]int{{6, 7, 9, 10}, {7, 9, 10, 11}, {9, 10, 11, 12}, {12, 13, 14, 15}} {
		if b[at[0]] != 0 {
			v4 = append(v4, netip.AddrFrom4([4]byte{b[at[0]], b[at[1]], b[at[2]], b[at[3]]}))
		}
	}
	if v4 == nil {
		v4 = append(v4, netip.IPv4Unspecified())
	}
	return v4
}
