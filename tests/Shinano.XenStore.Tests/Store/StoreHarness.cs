using System.Text;
using Shinano.XenAbi;
using Shinano.XenStore.Protocol;
using Shinano.XenStore.Server.Journal;
using Shinano.XenStore.Server.Requests;
using Shinano.XenStore.Server.Sessions;

namespace Shinano.XenStore.Tests.Store;

/// <summary>A store in memory, asked through messages as clients do. Strings stand for payloads, with | for NUL.</summary>
internal sealed class StoreHarness
{
    private readonly RequestDispatcher dispatcher;
    private uint lastRequest;

    internal StoreHarness(StoreState? state = null, IStoreJournal? journal = null)
    {
        Engine = new StoreEngine(state ?? new StoreState(), journal ?? new VolatileJournal());
        dispatcher = new RequestDispatcher(Engine, new NoObserver(), Printed.Add);
        Zero = Connect();
    }

    internal StoreEngine Engine { get; }

    internal List<string> Printed { get; } = [];

    /// <summary>A client of domain 0.</summary>
    internal Client Zero { get; }

    /// <summary>Another client of domain 0.</summary>
    internal Client Connect() => Connect(new StoreSession(DomainId.Zero, processId: 42));

    /// <summary>Introduces a domain, gives it its home, and returns its client.</summary>
    internal Client Introduce(ushort domain)
    {
        Assert.Equal("OK|", Zero.Ask(XenStoreOperation.Introduce, $"{domain}|1|1|"));
        Assert.Equal("OK|", Zero.Ask(XenStoreOperation.MakeDirectory, $"/local/domain/{domain}|"));
        Assert.Equal("OK|", Zero.Ask(XenStoreOperation.SetPermissions, $"/local/domain/{domain}|n{domain}|"));
        return Connect(Engine.State.FindDomain(new DomainId(domain))!.Session);
    }

    private Client Connect(StoreSession session)
    {
        var sink = new RecordingSink();
        session.Sink = sink;
        return new Client(this, session, sink);
    }

    /// <summary>One client.</summary>
    internal sealed class Client(StoreHarness harness, StoreSession session, RecordingSink sink)
    {
        internal StoreSession Session => session;

        internal RecordingSink Sink => sink;

        internal List<string> Events => sink.Events;

        /// <summary>Sends a request; returns the reply's payload, or the error's name.</summary>
        internal string Ask(XenStoreOperation operation, string payload, uint transaction = 0) =>
            Ask(operation, Encoding.Latin1.GetBytes(payload.Replace('|', '\0')), transaction);

        internal string Ask(XenStoreOperation operation, ReadOnlySpan<byte> payload, uint transaction = 0)
        {
            uint request = ++harness.lastRequest;
            int before = sink.Replies.Count;
            Assert.True(harness.dispatcher.TryHandle(session, sink, XenStorePacket.Create(operation, request, transaction, payload)));
            Assert.Equal(before + 1, sink.Replies.Count);
            XenStorePacket reply = sink.Replies[before];
            Assert.Equal((request, transaction), (reply.Header.RequestId, reply.Header.TransactionId));
            string text = Encoding.Latin1.GetString(reply.Payload).Replace('\0', '|');
            if (reply.Operation == XenStoreOperation.Error)
            {
                Assert.NotEqual(XenStoreError.None, XenStoreErrorNames.FromWireName(text[..^1]));
                return text[..^1];
            }

            Assert.Equal(operation, reply.Operation);
            return text;
        }

        internal string Read(string path, uint transaction = 0) => Ask(XenStoreOperation.Read, path + "|", transaction);

        internal string Write(string path, string value, uint transaction = 0) =>
            Ask(XenStoreOperation.Write, $"{path}|{value}", transaction);

        internal string Remove(string path, uint transaction = 0) => Ask(XenStoreOperation.Remove, path + "|", transaction);

        internal string List(string path, uint transaction = 0) => Ask(XenStoreOperation.Directory, path + "|", transaction);

        internal string SetPermissions(string path, string permissions, uint transaction = 0) =>
            Ask(XenStoreOperation.SetPermissions, $"{path}|{permissions}|", transaction);

        internal string Watch(string path, string token) => Ask(XenStoreOperation.Watch, $"{path}|{token}|");

        internal uint Start() => uint.Parse(Ask(XenStoreOperation.TransactionStart, "|")[..^1]);

        internal string Commit(uint transaction) => Ask(XenStoreOperation.TransactionEnd, "T|", transaction);

        internal string Abort(uint transaction) => Ask(XenStoreOperation.TransactionEnd, "F|", transaction);

        /// <summary>The events since the last call.</summary>
        internal string[] TakeEvents()
        {
            string[] taken = [.. sink.Events];
            sink.Events.Clear();
            return taken;
        }
    }

    private sealed class NoObserver : IRequestObserver
    {
        public bool IsActive => false;

        public void Observe(
            StoreSession session, uint transactionId, XenStoreOperation operation, ReadOnlySpan<byte> request, XenStorePacket reply) =>
            throw new InvalidOperationException("Nobody asked.");
    }
}
