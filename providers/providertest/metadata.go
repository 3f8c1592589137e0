package providertest

import "net/http"

// serveMetadata is the discovery document: OpenID Connect Discovery 1.0, section 3; RFC 8414, section 2.
func (s *Server) serveMetadata(w http.ResponseWriter, r *http.Request) {
	if !allow(w, r, http.MethodGet) {
		return
	}
	b := s.Behavior()
	m := map[string]any{
		"issuer":                                         s.cfg.Issuer,
		"authorization_endpoint":                         s.URL("/authorize"),
		"token_endpoint":                                 s.URL("/token"),
		"userinfo_endpoint":                              s.URL("/userinfo"),
		"jwks_uri":                                       s.URL("/jwks"),
		"revocation_endpoint":                            s.URL("/revoke"),
		"introspection_endpoint":                         s.URL("/introspect"),
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query", "form_post"},
		"grant_types_supported":                          []string{"authorization_code", "refresh_token"},
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          []string{s.cfg.Algorithm},
		"scopes_supported":                               []string{"openid", "profile", "email", "offline_access", "videos"},
		"claims_supported":                               []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "sid", "name", "preferred_username", "email", "email_verified"},
		"token_endpoint_auth_methods_supported":          []string{"client_secret_basic", "client_secret_post", "none"},
		"code_challenge_methods_supported":               []string{"S256"},
		"prompt_values_supported":                        []string{"none", "login", "consent", "select_account"},
		"authorization_response_iss_parameter_supported": true,
		"request_parameter_supported":                    false,
		"request_uri_parameter_supported":                false,
	}
	if b.OmitIss {
		delete(m, "authorization_response_iss_parameter_supported")
	}
	if b.IgnorePKCE {
		delete(m, "code_challenge_methods_supported")
	}
	if b.Metadata != nil {
		b.Metadata(m)
	}
	writeJSON(w, http.StatusOK, m)
}
