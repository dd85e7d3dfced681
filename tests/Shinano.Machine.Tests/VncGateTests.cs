using System.Net;
using System.Net.Sockets;
using Shinano.Control.Api.Domains;
using Shinano.Machine.Vnc;

namespace Shinano.Machine.Tests;

public sealed class VncGateTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Viewers_that_come_before_the_display_wait_for_it_as_many_as_the_gate_takes()
    {
        DirectoryInfo directory = Directory.CreateTempSubdirectory("shi");
        List<Socket> sockets = [];
        try
        {
            UnixDomainSocketEndPoint place = new(Path.Combine(directory.FullName, "vnc"));
            using VncGate gate = await VncGate.StartAsync(new VncSpec { Listen = "127.0.0.1", Display = 400, FindUnused = true, SocketPath = place.ToString()! });
            for (int i = 0; i <= VncGateCommand.MaximumConnections; i++)
            {
                Socket viewer = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                sockets.Add(viewer);
                await viewer.ConnectAsync(IPAddress.Loopback, gate.Port, Cancellation);
            }

            // One too many is closed: by then all the others have a place, and no display.
            byte[] word = new byte[5];
            Assert.Equal(0, await sockets[^1].ReceiveAsync(word, Cancellation));
            await sockets[0].SendAsync("early"u8.ToArray(), Cancellation);
            using Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            listener.Bind(place);
            listener.Listen();
            List<Task<(Socket Display, int Count)>> first = [];
            for (int i = 0; i < VncGateCommand.MaximumConnections; i++)
            {
                Socket display = await listener.AcceptAsync(Cancellation);
                sockets.Add(display);
                first.Add(Task.Run(async () => (display, await display.ReceiveAsync(word, Cancellation)), Cancellation));
            }

            (Socket spoken, int count) = await await Task.WhenAny(first);
            Assert.Equal("early"u8.ToArray(), word[..count]);
            await spoken.SendAsync("shown"u8.ToArray(), Cancellation);
            Assert.Equal(5, await sockets[0].ReceiveAsync(word, Cancellation));
            Assert.Equal("shown"u8.ToArray(), word);
        }
        finally
        {
            sockets.ForEach(socket => socket.Dispose());
            directory.Delete(recursive: true);
        }
    }
}
