package remoting_test

import (
	"context"
	"fmt"
	"net"

	"github.com/apogeemq/apogee/server/remoting"
)

// greeter answers every request with a greeting.
type greeter struct{}

func (greeter) Handle(rt remoting.ReplyTo, cmd *remoting.Command) {
	var r remoting.Reply
	r.SetText("greeting", "hello "+cmd.Text("name"))
	rt.Send(&r)
}

func (greeter) Closed(*remoting.Conn) {}

func Example() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	server := remoting.Serve(listener, greeter{}, remoting.Options{})
	ctx := context.Background()
	client, err := remoting.Dial(ctx, server.Addr().String(), remoting.ClientOptions{})
	if err != nil {
		panic(err)
	}
	request := &remoting.Request{Code: remoting.RequestHeartBeat}
	request.Set("name", "apogee")
	response, err := client.Call(ctx, request)
	if err != nil {
		panic(err)
	}
	fmt.Println(response.Code, response.Text("greeting"))
	client.Close()
	if err := server.Shutdown(ctx); err != nil {
		panic(err)
	}
	// Output: 0 hello apogee
}
