using Shinano.XenStore.Protocol;
using Shinano.XenStore.Server.Sessions;

namespace Shinano.XenStore.Tests.Store;

/// <summary>Keeps what a session is sent.</summary>
internal sealed class RecordingSink : ISessionSink
{
    internal List<XenStorePacket> Replies { get; } = [];

    /// <summary>"path token" of each event since it was last cleared.</summary>
    internal List<string> Events { get; } = [];

    public void Reply(XenStorePacket reply) => Replies.Add(reply);

    public void WatchFired(string path, string token) => Events.Add($"{path} {token}");
}
