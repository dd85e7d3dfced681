using System.Net.Sockets;
using System.Text;
using System.Threading.Channels;
using Shinano.Linux;
using Shinano.XenAbi;
using Shinano.XenStore.Client;
using Shinano.XenStore.Protocol;

namespace Shinano.XenStore.Tests.Hosting;

/// <summary>A domain's ring over real sockets, with servers that go away.</summary>
public sealed class RelayTests
{
    internal static readonly RelayToken Token = RelayToken.Create();
    private static readonly DomainId Domain = new(7);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task ADomainTalksWithItsOwnRights()
    {
        await using ServerFixture fixture = await ServerFixture.StartAsync();
        Prepare(fixture);
        fixture.Server.Store.Nodes.Write("/secret", "x");
        await using var guest = new Guest(fixture.Paths);
        Assert.Equal("OK|", await guest.AskAsync(XenStoreOperation.Write, "data/x|1"));
        Assert.Equal("EACCES|", await guest.AskAsync(XenStoreOperation.Read, "/secret|"));
        Assert.Equal("1", fixture.Server.Store.Nodes.TryReadString("/local/domain/7/data/x"));
        Assert.Equal("OK|", await guest.AskAsync(XenStoreOperation.Watch, "data|t|"));
        Assert.Equal("data|t|", await guest.Events.ReadAsync(Cancellation));
        fixture.Server.Store.Nodes.Write("/local/domain/7/data/y", "2");
        Assert.Equal("data/y|t|", await guest.Events.ReadAsync(Cancellation));
    }

    [Fact]
    public async Task AWholeRingOfRequestsIsAnswered()
    {
        await using ServerFixture fixture = await ServerFixture.StartAsync();
        Prepare(fixture);
        await using var guest = new Guest(fixture.Paths);
        string[] answers = await Task.WhenAll(
            Enumerable.Range(0, 300).Select(i => guest.AskAsync(XenStoreOperation.Write, $"d{i % 10}|{i}")));
        Assert.All(answers, answer => Assert.Equal("OK|", answer));
    }

    [Fact]
    public async Task RequestsWaitForTheIntroductionAndOverARestart()
    {
        await using ServerFixture fixture = await ServerFixture.StartAsync();
        await using var guest = new Guest(fixture.Paths);
        Task<string> early = guest.AskAsync(XenStoreOperation.Write, "early|1");
        Prepare(fixture);
        Assert.Equal("OK|", await early);
        Assert.Equal("OK|", await guest.AskAsync(XenStoreOperation.Watch, "w|t|"));
        Assert.Equal("w|t|", await guest.Events.ReadAsync(Cancellation));
        string transaction = await guest.AskAsync(XenStoreOperation.TransactionStart, "|");
        uint id = uint.Parse(transaction[..^1]);

        await fixture.RestartAsync();
        fixture.Server.Store.BindRelay(Domain, Token);

        Assert.Equal("OK|", await guest.AskAsync(XenStoreOperation.Write, "in-transaction|1", id));
        Assert.Equal("EAGAIN|", await guest.AskAsync(XenStoreOperation.TransactionEnd, "T|", id));
        Assert.Equal("ENOENT|", await guest.AskAsync(XenStoreOperation.Read, "in-transaction|"));
        Assert.Equal("w|t|", await guest.Events.ReadAsync(Cancellation));
        fixture.Server.Store.Nodes.Write("/local/domain/7/w", "1");
        Assert.Equal("w|t|", await guest.Events.ReadAsync(Cancellation));
    }

    [Fact]
    public async Task AResetEndsWatches()
    {
        await using ServerFixture fixture = await ServerFixture.StartAsync();
        Prepare(fixture);
        await using var guest = new Guest(fixture.Paths);
        await guest.AskAsync(XenStoreOperation.Watch, "w|t|");
        Assert.Equal("w|t|", await guest.Events.ReadAsync(Cancellation));
        await guest.Connection.ResetAsync();
        Assert.Equal("OK|", await guest.AskAsync(XenStoreOperation.Write, "w|1"));
        Assert.False(guest.Events.TryRead(out _));
        Assert.Equal("OK|", await guest.AskAsync(XenStoreOperation.Watch, "w|t|"));
    }

    [Fact]
    public async Task AReleasedDomainIsHeardNoMore()
    {
        await using ServerFixture fixture = await ServerFixture.StartAsync();
        Prepare(fixture);
        using Socket socket = await ServerTests.ConnectRawAsync(fixture.Paths.XenStoreRelaySocket);
        await socket.SendAsync(new RelayHello(Domain, Token, 0, []).ToBytes(), Cancellation);
        byte[] answer = new byte[RelayHelloAnswerCodec.Size];
        Assert.Equal(answer.Length, await socket.ReceiveAsync(answer, Cancellation));
        Assert.True(RelayHelloAnswerCodec.TryRead(answer, out RelayHelloAnswer verdict));
        Assert.Equal(RelayHelloAnswer.Accepted, verdict);
        fixture.Server.Store.ReleaseDomain(Domain);
        await socket.SendAsync(XenStorePacket.Create(XenStoreOperation.Write, 1, 0, "/x\0y"u8).Message, Cancellation);
        Assert.Equal(0, await socket.ReceiveAsync(answer, Cancellation));
    }

    [Theory]
    [InlineData(9, RelayHelloAnswer.NotIntroduced)]
    [InlineData(0, RelayHelloAnswer.Malformed)]
    public async Task OtherHellosAreRefused(int domain, RelayHelloAnswer expected)
    {
        await using ServerFixture fixture = await ServerFixture.StartAsync();
        using Socket socket = await ServerTests.ConnectRawAsync(fixture.Paths.XenStoreRelaySocket);
        await socket.SendAsync(new RelayHello(new DomainId((ushort)domain), Token, 0, []).ToBytes(), Cancellation);
        byte[] answer = new byte[RelayHelloAnswerCodec.Size];
        Assert.Equal(answer.Length, await socket.ReceiveAsync(answer, Cancellation));
        Assert.True(RelayHelloAnswerCodec.TryRead(answer, out RelayHelloAnswer verdict));
        Assert.Equal(expected, verdict);
        Assert.Equal(0, await socket.ReceiveAsync(answer, Cancellation));
    }

    [Fact]
    public async Task AProcessSpeaksForNoDomainButItsOwn()
    {
        await using ServerFixture fixture = await ServerFixture.StartAsync();
        Prepare(fixture);
        DomainId other = new(8);
        fixture.Server.Store.IntroduceDomain(other, 1, 1);
        Assert.Equal(RelayHelloAnswer.NotIntroduced, await GreetAsync(fixture, other, Token));
        fixture.Server.Store.BindRelay(other, RelayToken.Create());
        Assert.Equal(RelayHelloAnswer.Refused, await GreetAsync(fixture, other, Token));
        Assert.Equal(RelayHelloAnswer.Accepted, await GreetAsync(fixture, Domain, Token));

        // A token is not kept over a restart: nobody speaks for the domain before the daemon has said who may.
        await fixture.RestartAsync();
        Assert.Equal(RelayHelloAnswer.NotIntroduced, await GreetAsync(fixture, Domain, Token));
        fixture.Server.Store.BindRelay(Domain, Token);
        Assert.Equal(RelayHelloAnswer.Accepted, await GreetAsync(fixture, Domain, Token));
    }

    private static async Task<RelayHelloAnswer> GreetAsync(ServerFixture fixture, DomainId domain, RelayToken token)
    {
        using Socket socket = await ServerTests.ConnectRawAsync(fixture.Paths.XenStoreRelaySocket);
        await socket.SendAsync(new RelayHello(domain, token, 0, []).ToBytes(), Cancellation);
        byte[] answer = new byte[RelayHelloAnswerCodec.Size];
        Assert.Equal(answer.Length, await socket.ReceiveAsync(answer, Cancellation));
        Assert.True(RelayHelloAnswerCodec.TryRead(answer, out RelayHelloAnswer verdict));
        return verdict;
    }

    private static void Prepare(ServerFixture fixture)
    {
        fixture.Server.Store.Nodes.Write("/local/domain/7", "", new NodePermission(Domain, NodeAccess.None));
        fixture.Server.Store.IntroduceDomain(Domain, 1, 1);
        fixture.Server.Store.BindRelay(Domain, Token);
    }

    /// <summary>Plays the guest: puts requests on the ring and takes what comes back.</summary>
    internal sealed class Guest : IRingRelayGuest, IAsyncDisposable
    {
        private readonly Lock gate = new();
        private readonly Queue<byte> ring = new();
        private readonly Dictionary<uint, TaskCompletionSource<string>> waiting = [];
        private readonly Channel<string> events = Channel.CreateUnbounded<string>();
        private uint lastRequest;

        internal Guest(ShinanoPaths paths) => Connection = new RingRelayConnection(Domain, Token, paths.XenStoreRelaySocket, this);

        internal RingRelayConnection Connection { get; }

        internal ChannelReader<string> Events => events.Reader;

        internal Task<string> AskAsync(XenStoreOperation operation, string payload, uint transaction = 0)
        {
            var answer = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
            lock (gate)
            {
                uint request = ++lastRequest;
                waiting.Add(request, answer);
                byte[] bytes = Encoding.Latin1.GetBytes(payload.Replace('|', '\0'));
                foreach (byte b in XenStorePacket.Create(operation, request, transaction, bytes).Message.Span)
                {
                    ring.Enqueue(b);
                }
            }

            RoomForRequests();
            return answer.Task.WaitAsync(Cancellation);
        }

        public void RoomForRequests()
        {
            lock (gate)
            {
                int taken = Connection.Submit(ring.ToArray());
                for (int i = 0; i < taken; i++)
                {
                    ring.Dequeue();
                }
            }
        }

        public ValueTask DeliverAsync(XenStorePacket message, CancellationToken cancellation)
        {
            string text = Encoding.Latin1.GetString(message.Payload).Replace('\0', '|');
            if (message.Operation == XenStoreOperation.WatchEvent)
            {
                events.Writer.TryWrite(text);
                return ValueTask.CompletedTask;
            }

            lock (gate)
            {
                Assert.True(waiting.Remove(message.Header.RequestId, out TaskCompletionSource<string>? answer));
                answer.SetResult(text);
            }

            return ValueTask.CompletedTask;
        }

        public ValueTask DisposeAsync() => Connection.DisposeAsync();
    }
}
