package frameworks_test

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"connectrpc.com/connect"
	"github.com/a-h/templ"
	"github.com/go-chi/chi/v5"
	"github.com/gorilla/mux"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/returnleg/returnleg/middleware"
)

func netHTTP(auth *middleware.Auth) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "Everybody may read this.")
	})
	mux.Handle("GET /members/me", auth.Require(middleware.Need{})(hello()))
	return auth.Handler(mux)
}

func hello() middleware.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		who, err := middleware.User(r.Context())
		if err != nil {
			return err // middleware.Answer answers it
		}
		_, err = fmt.Fprint(w, "Hello, ", who.Identity.Name)
		return err
	}
}

func chiRouter(auth *middleware.Auth) http.Handler {
	r := chi.NewRouter()
	r.Route("/members", func(r chi.Router) {
		r.Use(auth.Require(middleware.Need{}))
		r.Method(http.MethodGet, "/me", hello())
	})
	return auth.Handler(r)
}

func gorillaRouter(auth *middleware.Auth) http.Handler {
	r := mux.NewRouter()
	members := r.PathPrefix("/members").Subrouter()
	members.Use(auth.Require(middleware.Need{}))
	members.Handle("/me", hello()).Methods(http.MethodGet)
	return auth.Handler(r)
}

func connectService(auth *middleware.Auth) http.Handler {
	const procedure = "/practice.v1.MemberService/Name"
	mux := http.NewServeMux()
	mux.Handle(procedure, connect.NewUnaryHandler(procedure,
		func(ctx context.Context, _ *connect.Request[emptypb.Empty]) (*connect.Response[wrapperspb.StringValue], error) {
			who, err := middleware.User(ctx)
			if err != nil {
				return nil, connect.NewError(connect.CodeUnauthenticated, err)
			}
			return connect.NewResponse(wrapperspb.String(who.Identity.Name)), nil
		}))
	mux.Handle("GET /members/me", auth.Require(middleware.Need{})(hello()))
	return auth.Handler(http.NewCrossOriginProtection().Handler(mux))
}

func gatewayMux() *runtime.ServeMux {
	return runtime.NewServeMux(
		runtime.WithMetadata(func(_ context.Context, r *http.Request) metadata.MD {
			who, err := middleware.User(r.Context())
			if err != nil {
				return nil
			}
			return metadata.Pairs("user-id", who.ID)
		}),
		// By default a client sets any metadata with a header Grpc-Metadata-…: "user-id" is for us to set.
		runtime.WithIncomingHeaderMatcher(func(string) (string, bool) { return "", false }),
	)
}

func grpcGateway(auth *middleware.Auth, gateway *runtime.ServeMux) http.Handler {
	// The generated code registers its services, as in RegisterMemberServiceHandler(ctx, gateway, conn).
	return auth.Handler(auth.Require(middleware.Need{})(gateway))
}

func templPage(auth *middleware.Auth) http.Handler {
	page := templ.ComponentFunc(func(ctx context.Context, w io.Writer) error {
		who, err := middleware.User(ctx)
		if err != nil {
			return err
		}
		_, err = io.WriteString(w, "<p>Hello, "+templ.EscapeString(who.Identity.Name)+"</p>")
		return err
	})
	mux := http.NewServeMux()
	mux.Handle("GET /members/me", auth.Require(middleware.Need{})(templ.Handler(page)))
	return auth.Handler(mux)
}
