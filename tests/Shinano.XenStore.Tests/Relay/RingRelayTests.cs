using CsCheck;
using Shinano.XenAbi;
using Shinano.XenStore.Client;
using Shinano.XenStore.Protocol;

namespace Shinano.XenStore.Tests.Relay;

public sealed class RingRelayTests
{
    private readonly RingRelay relay = new(new DomainId(3), RelayToken.Create());
    private readonly List<XenStorePacket> toGuest = [];

    [Fact]
    public void RequestsAreSentInOrderAndAnsweredOnce()
    {
        relay.Connected();
        Submit(Request(XenStoreOperation.Read, 1));
        Submit(Request(XenStoreOperation.Read, 2));
        Assert.Equal([1u, 2u], Sent());
        Assert.Empty(Sent());
        Assert.True(Answer(1, XenStoreOperation.Read, "x"));
        Assert.True(Answer(2, XenStoreOperation.Error, "ENOENT|"));
        Assert.Equal([1u, 2u], toGuest.Select(packet => packet.Header.RequestId));
        Assert.Equal(0, relay.Unanswered);
    }

    [Fact]
    public void NothingIsSentWithoutAConnection()
    {
        Submit(Request(XenStoreOperation.Read, 1));
        Assert.Empty(Sent());
        Assert.Equal(0u, relay.Connected().Replays);
        Assert.Equal([1u], Sent());
    }

    [Fact]
    public void UnansweredRequestsAreSentAgainAndCounted()
    {
        relay.Connected();
        Submit(Request(XenStoreOperation.Write, 1));
        Submit(Request(XenStoreOperation.Write, 2));
        Submit(Request(XenStoreOperation.Write, 3));
        Sent();
        Assert.True(Answer(1, XenStoreOperation.Write, "OK|"));
        relay.Disconnected();
        Submit(Request(XenStoreOperation.Write, 4));
        Assert.Equal(2u, relay.Connected().Replays);
        Assert.Equal([2u, 3u, 4u], Sent());
    }

    [Fact]
    public void OpenTransactionsAreNamedInTheHello()
    {
        relay.Connected();
        Do(XenStoreOperation.TransactionStart, 1, 0, XenStoreOperation.TransactionStart, "11|");
        Do(XenStoreOperation.TransactionStart, 2, 0, XenStoreOperation.TransactionStart, "12|");
        Do(XenStoreOperation.TransactionStart, 3, 0, XenStoreOperation.TransactionStart, "13|");
        Do(XenStoreOperation.TransactionStart, 4, 0, XenStoreOperation.Error, "ENOSPC|");
        Do(XenStoreOperation.TransactionEnd, 5, 11, XenStoreOperation.TransactionEnd, "OK|");
        Do(XenStoreOperation.TransactionEnd, 6, 12, XenStoreOperation.Error, "EAGAIN|");
        Do(XenStoreOperation.TransactionEnd, 7, 13, XenStoreOperation.Error, "EINVAL|");
        relay.Disconnected();
        Assert.Equal([13u], relay.Connected().OpenTransactions);
        Do(XenStoreOperation.ResetWatches, 8, 0, XenStoreOperation.ResetWatches, "OK|");
        Assert.Empty(relay.Connected().OpenTransactions);
    }

    [Fact]
    public void HalfAMessageOfABrokenConnectionIsForgotten()
    {
        relay.Connected();
        Submit(Request(XenStoreOperation.Read, 1));
        Sent();
        ReadOnlyMemory<byte> answer = Reply(1, XenStoreOperation.Read, "value");
        Assert.True(relay.TakeFromServer(answer.Span[..10], toGuest));
        relay.Disconnected();
        relay.Connected();
        Sent();
        Assert.True(relay.TakeFromServer(answer.Span, toGuest));
        Assert.Single(toGuest);
    }

    [Fact]
    public void AnswersNobodyAskedForEndTheConnection()
    {
        relay.Connected();
        Assert.False(Answer(1, XenStoreOperation.Read, "x"));
        Submit(Request(XenStoreOperation.Read, 5));
        Assert.False(Answer(5, XenStoreOperation.Read, "x")); // Not sent yet.
        Sent();
        Assert.False(Answer(6, XenStoreOperation.Read, "x"));
        Assert.Empty(toGuest);
    }

    [Fact]
    public void AResetForgetsRequestsAndHasTheServerForgetWatches()
    {
        relay.Connected();
        Do(XenStoreOperation.TransactionStart, 1, 0, XenStoreOperation.TransactionStart, "11|");
        toGuest.Clear();
        Submit(Request(XenStoreOperation.Read, 2));
        Submit(Request(XenStoreOperation.Read, 3)[..7]);
        Sent();
        relay.Reset();
        Submit(Request(XenStoreOperation.Read, 9));
        Assert.Empty(Sent());
        RelayHello hello = relay.Connected();
        Assert.Equal(0u, hello.Replays);
        Assert.Empty(hello.OpenTransactions);
        Assert.Equal([0u, 9u], Sent());
        Assert.True(relay.TakeFromServer(Reply(0, XenStoreOperation.WatchEvent, "old|t|").Span, toGuest));
        Assert.True(Answer(0, XenStoreOperation.ResetWatches, "OK|"));
        Assert.Empty(toGuest);
        Assert.True(Answer(9, XenStoreOperation.Read, "x"));
        Assert.Single(toGuest);
    }

    [Fact]
    public void AGuestThatBreaksTheProtocolIsNotReadFurther()
    {
        byte[] header = new byte[XenStoreLimits.HeaderSize];
        new XenStoreHeader(XenStoreOperation.Read, 1, 0, 5000).Write(header);
        byte[] input = [.. Request(XenStoreOperation.Read, 1).Span, .. header, .. Request(XenStoreOperation.Read, 2).Span];
        Assert.Equal(input.Length, relay.TakeFromGuest(input));
        Assert.True(relay.GuestBrokeProtocol);
        Assert.Equal(1, relay.Unanswered);
        relay.Reset();
        Assert.False(relay.GuestBrokeProtocol);
    }

    [Fact]
    public void NoMoreIsTakenThanAGuestMayLeaveUnanswered()
    {
        byte[] one = Request(XenStoreOperation.Read, 1).ToArray();
        byte[] many = [.. Enumerable.Repeat(one, 100).SelectMany(bytes => bytes)];
        Assert.Equal(one.Length * RingRelay.MaximumUnanswered, relay.TakeFromGuest(many));
        Assert.False(relay.HasRoom);
        Assert.Equal(0, relay.TakeFromGuest(many));
    }

    [Fact]
    public void EachRequestIsAnsweredOnceHoweverTheConnectionBreaks() =>
        Gen.Select(Gen.Int[1, 40], Gen.Int[0, 9].Array[1, 200], Gen.Int[1, 30]).Sample((requests, events, cut) =>
        {
            var tested = new RingRelay(new DomainId(1), RelayToken.Create());
            var answered = new List<XenStorePacket>();
            var wire = new Queue<ReadOnlyMemory<byte>>();
            uint submitted = 0;
            tested.Connected();
            for (int i = 0; answered.Count < requests; i++)
            {
                switch (i < events.Length ? events[i] : i % 3)
                {
                    case 0 when submitted < requests && tested.HasRoom:
                        tested.TakeFromGuest(Request(XenStoreOperation.Read, ++submitted).Span);
                        break;
                    case 1 when tested.TakeForServer() is { } request:
                        wire.Enqueue(request);
                        break;
                    case 9:
                        tested.Disconnected();
                        wire.Clear();
                        tested.Connected();
                        break;
                    default:
                        if (wire.TryDequeue(out ReadOnlyMemory<byte> arrived))
                        {
                            ReadOnlyMemory<byte> reply = Reply(XenStoreHeader.Read(arrived.Span).RequestId, XenStoreOperation.Read, "v");
                            int half = Math.Min(cut, reply.Length);
                            Assert.True(tested.TakeFromServer(reply.Span[..half], answered));
                            Assert.True(tested.TakeFromServer(reply.Span[half..], answered));
                        }

                        break;
                }
            }

            Assert.Equal(Enumerable.Range(1, requests), answered.Select(packet => (int)packet.Header.RequestId));
        });

    [Fact]
    public void AnyBytesOfTheServerAreTaken() =>
        Gen.Byte.Array[0, 100].Sample(bytes =>
        {
            var tested = new RingRelay(new DomainId(1), RelayToken.Create());
            tested.TakeFromGuest(Request(XenStoreOperation.Read, 1).Span);
            tested.Connected();
            tested.TakeForServer();
            tested.TakeFromServer(bytes, new List<XenStorePacket>());
            Assert.InRange(tested.Unanswered, 0, 1);
        });

    private static ReadOnlyMemory<byte> Request(XenStoreOperation operation, uint id, uint transaction = 0) =>
        XenStorePacket.Create(operation, id, transaction, "a\0"u8).Message;

    private static ReadOnlyMemory<byte> Reply(uint id, XenStoreOperation operation, string payload, uint transaction = 0) =>
        XenStorePacket.Create(operation, id, transaction, System.Text.Encoding.ASCII.GetBytes(payload.Replace('|', '\0'))).Message;

    private void Submit(ReadOnlyMemory<byte> bytes) => Assert.Equal(bytes.Length, relay.TakeFromGuest(bytes.Span));

    private bool Answer(uint id, XenStoreOperation operation, string payload) =>
        relay.TakeFromServer(Reply(id, operation, payload).Span, toGuest);

    private List<uint> Sent()
    {
        var ids = new List<uint>();
        while (relay.TakeForServer() is { } message)
        {
            ids.Add(XenStoreHeader.Read(message.Span).RequestId);
        }

        return ids;
    }

    private void Do(XenStoreOperation operation, uint id, uint transaction, XenStoreOperation answer, string payload)
    {
        Submit(Request(operation, id, transaction));
        Assert.Equal([id], Sent());
        Assert.True(relay.TakeFromServer(Reply(id, answer, payload, transaction).Span, toGuest));
    }
}
