package providers_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/returnleg/returnleg/providers"
)

// Row 99: an address is judged by what it leads to, in whatever notation.
func TestAddress(t *testing.T) {
	const public, inside, never = "public", "inside", "never"
	for _, row := range []struct{ ip, want, why string }{
		{"93.184.215.14", public, ""},
		{"2606:2800:220:1::1", public, ""},
		{"2001:4860:4860::8888", public, "beside Teredo"},
		{"192.0.2.1", public, "of examples: nothing is there"},

		{"0.0.0.0", never, ""}, {"0.1.2.3", never, "this network"}, {"::", never, ""},
		{"169.254.169.254", never, ""}, {"169.254.0.1", never, ""}, {"fe80::1", never, ""}, {"fe80::1%eth0", never, "with a zone"}, {"febf::1", never, ""},
		{"192.0.0.192", never, "cloud metadata of Oracle"}, {"100.100.100.200", never, "of Alibaba"}, {"168.63.129.16", never, "of Azure"},
		{"fd00:ec2::254", never, "of AWS"}, {"fd00:ec2::23", never, "another of AWS"}, {"fd20:ce::254", never, "of Google"},
		{"224.0.0.1", never, ""}, {"239.255.255.255", never, ""}, {"ff02::1", never, ""},
		{"240.0.0.1", never, ""}, {"255.255.255.255", never, ""}, {"100::1", never, ""},

		{"127.0.0.1", inside, ""}, {"127.255.255.254", inside, ""}, {"::1", inside, ""}, {"::1%lo", inside, ""},
		{"10.0.0.1", inside, ""}, {"172.16.0.1", inside, ""}, {"172.32.0.1", public, ""}, {"192.168.1.1", inside, ""},
		{"100.64.0.1", inside, ""}, {"100.128.0.1", public, ""}, {"198.18.0.1", inside, ""}, {"198.20.0.1", public, ""},
		{"fc00::1", inside, ""}, {"fd12:3456::1", inside, ""}, {"fec0::1", inside, "site-local"},

		{"::ffff:169.254.169.254", never, "mapped"}, {"::ffff:10.0.0.1", inside, ""}, {"::ffff:8.8.8.8", public, ""},
		{"::169.254.169.254", never, "compatible"}, {"::10.0.0.1", inside, ""}, {"::8.8.8.8", public, ""}, {"::2", never, ""},
		{"::ffff:0:169.254.169.254", never, "translated"}, {"::ffff:0:10.0.0.1", inside, ""}, {"::ffff:0:8.8.8.8", public, ""},
		{"64:ff9b::169.254.169.254", never, "NAT64"}, {"64:ff9b::a9fe:a9fe", never, ""}, {"64:ff9b::127.0.0.1", inside, ""}, {"64:ff9b::140.82.121.4", public, "where IPv6 is all there is"},
		{"64:ff9b:1::169.254.169.254", never, "NAT64 of the network, 96"}, {"64:ff9b:1::10.0.0.1", inside, ""}, {"64:ff9b:1::140.82.121.4", public, ""},
		{"64:ff9b:1:0:a9:fea9:fe00::", never, "64"}, {"64:ff9b:1:a9:fe:a9fe::", never, "56"}, {"64:ff9b:1:a9fe:a9:fe00::", never, "48"},
		{"64:ff9b:1:8c52:79:400::", public, "48"}, {"64:ff9b:1::", never, ""},
		{"2002:a9fe:a9fe::1", never, "6to4"}, {"2002:7f00:1::", inside, ""}, {"2002:a00:1::1", inside, ""}, {"2002:808:808::1", public, ""},
		{"2001:0:a9fe:a9fe::", never, "Teredo, server"}, {"2001:0:808:808:0:0:5601:5601", never, "Teredo, client"},
		{"2001:0:808:808:0:0:f5ff:fffe", inside, ""}, {"2001:0:808:808:0:0:f7f7:f7f7", public, ""},
		{"2001:db8::5efe:169.254.169.254", never, "ISATAP"}, {"2001:db8::200:5efe:10.0.0.1", inside, ""}, {"2001:db8::5efe:8.8.8.8", public, ""},
	} {
		got := public
		switch {
		case providers.Never(row.ip):
			got = never
		case providers.Inside(row.ip):
			got = inside
		}
		if got != row.want {
			t.Errorf("99 %s: %s, want %s; %s", row.ip, got, row.want, row.why)
		}
	}
}

// Names below localhost are this machine, whatever a resolver would say; it is not asked.
func TestNewClient_localhost(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Seen", r.Host) }))
	defer server.Close()
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"localhost", "LocalHost", "idp.localhost", "a.b.LOCALHOST", "idp.localhost."} {
		client := providers.NewClient()
		resp, err := client.Get("http://" + host + ":" + u.Port())
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		_ = resp.Body.Close()
		if got := resp.Header.Get("Seen"); got != host+":"+u.Port() {
			t.Errorf("%s: asked for %s", host, got)
		}
		client.CloseIdleConnections()
	}
	// A server that is at the other loopback address only.
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Log("no IPv6 here:", err)
		return
	}
	six := &http.Server{Handler: server.Config.Handler}
	go func() { _ = six.Serve(l) }()
	defer func() { _ = six.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	client := providers.NewClient()
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://idp.localhost:" + port)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
}

// A host that stands for many, or that is none, is no endpoint; a name below localhost is loopback.
func TestValidate_host(t *testing.T) {
	for host, want := range map[string]bool{
		"https://id.example": true, "https://id.example:8443": true, "https://id_1.example": true, "https://[2606:2800::1]:8443": true, "https://id.example.": true,
		"https://*.example": false, "https://*": false, "https://a.*.example": false, "https://{tenant}.example": false, "https://$host": false,
		"https://.example": false, "https://a..example": false, "https://[fe80::1%25eth0]": false, "https://a,b": false,
		"http://localhost:8080": true, "http://LOCALHOST": true, "http://idp.localhost:8080": true, "http://a.b.localhost": true,
		"http://localhost.": false, "http://idp.localhost.": false, "http://.localhost": false, "http://localhost.example": false, "http://xlocalhost": false,
	} {
		p := &providers.OAuth2{ID: "idp", ClientID: "app", AuthURL: host + "/authorize", TokenURL: "https://id.example/token", UserInfoURL: "https://id.example/me"}
		if err := p.Validate(); (err == nil) != want {
			t.Errorf("%s: got %v, want none: %v", host, err, want)
		}
		if p := (&providers.OIDC{ID: "idp", ClientID: "app", Issuer: host}); (p.Validate() == nil) != want {
			t.Errorf("%s as issuer: want no mistake: %v", host, want)
		}
	}
}
