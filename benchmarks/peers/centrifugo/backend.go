// The program behind Centrifugo: it answers the calls that Centrifugo passes on by gRPC, and has it add members to a
// channel and publish to them, by the API that Centrifugo offers to programs.
//
// Its argument is the address of that API.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/centrifugal/centrifugo/v6/internal/apiproto"
	"github.com/centrifugal/centrifugo/v6/internal/proxyproto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	channel    = "crowd"
	badRequest = 400 // of those that Centrifugo leaves to programs, and passes on
)

type backend struct {
	proxyproto.UnimplementedCentrifugoProxyServer
	api apiproto.CentrifugoApiClient
}

// RPC answers one call of a client.
func (b *backend) RPC(ctx context.Context, call *proxyproto.RPCRequest) (*proxyproto.RPCResponse, error) {
	answer, err := b.answer(ctx, call)
	if err != nil {
		refusal := &proxyproto.Error{Code: badRequest, Message: err.Error()}
		return &proxyproto.RPCResponse{Error: refusal}, nil
	}
	return &proxyproto.RPCResponse{Result: &proxyproto.RPCResult{Data: answer}}, nil
}

func (b *backend) answer(ctx context.Context, call *proxyproto.RPCRequest) ([]byte, error) {
	switch call.Method {
	case "bench.echo":
		return echo(call.Data)
	case "bench.join":
		request := &apiproto.SubscribeRequest{Channel: channel, User: call.User, Client: call.Client}
		response, err := b.api.Subscribe(ctx, request)
		return []byte("null"), failure(err, response.GetError())
	case "bench.publish":
		response, err := b.api.Publish(ctx, &apiproto.PublishRequest{Channel: channel, Data: event()})
		return []byte("null"), failure(err, response.GetError())
	default:
		return nil, errors.New("not understood")
	}
}

func echo(data []byte) ([]byte, error) {
	var request struct {
		Text *string `json:"text"`
	}
	if err := json.Unmarshal(data, &request); err != nil {
		return nil, err
	}
	if request.Text == nil {
		return nil, errors.New("text is needed")
	}
	return json.Marshal(struct {
		Length int `json:"length"`
	}{utf8.RuneCountInString(*request.Text)})
}

// The load generator wants the type first, so a struct and no map.
func event() []byte {
	type text struct {
		Text string `json:"text"`
	}
	written, _ := json.Marshal(struct {
		Type string `json:"type"`
		Data text   `json:"data"`
	}{"bench.event", text{strings.Repeat("x", 64)}})
	return written
}

// A call of the API can fail on its way, and be refused.
func failure(err error, refused *apiproto.Error) error {
	if err == nil && refused != nil {
		return errors.New(refused.Message)
	}
	return err
}

func main() {
	connection, err := grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("{\"listening\":%d}\n", listener.Addr().(*net.TCPAddr).Port)
	server := grpc.NewServer()
	proxyproto.RegisterCentrifugoProxyServer(server, &backend{api: apiproto.NewCentrifugoApiClient(connection)})
	log.Fatal(server.Serve(listener))
}
