using Shinano.XenStore.Protocol;

namespace Shinano.XenStore.Server.Sessions;

/// <summary>Where a session's output goes. Called while the engine's lock is held: must not block and must not call the engine.</summary>
internal interface ISessionSink
{
    /// <summary>The answer to a request of this session.</summary>
    void Reply(XenStorePacket reply);

    /// <summary>A watch of this session fired.</summary>
    void WatchFired(string path, string token);
}
