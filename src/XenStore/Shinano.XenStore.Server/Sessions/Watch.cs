namespace Shinano.XenStore.Server.Sessions;

/// <summary>A watch of a session.</summary>
internal sealed class Watch
{
    private readonly int relativePrefix;

    internal Watch(StoreSession session, string given, string token)
    {
        Session = session;
        Given = given;
        Token = token;
        Path = session.Resolve(given);
        relativePrefix = Path.Length - given.Length;
    }

    internal StoreSession Session { get; }

    /// <summary>The path as the client gave it.</summary>
    internal string Given { get; }

    /// <summary>The path made absolute.</summary>
    internal string Path { get; }

    internal string Token { get; }

    /// <summary>The changed path as this watch reports it: relative if the watch is (docs/misc/xenstore.txt: WATCH_EVENT).</summary>
    internal string PathToReport(string changed) => Given.StartsWith('/') && Path != Given
        // Set by the number that the domain had before: so the client knows the path.
        ? Given + changed[Math.Min(Path.Length, changed.Length)..]
        : relativePrefix < changed.Length ? changed[relativePrefix..] : "";
}
